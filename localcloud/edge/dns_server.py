"""An authoritative DNS server, over UDP and TCP, for the hosted zones of the local cloud.

DNS is a global data plane: it answers whatever region has failed, us-east-1 included.
"""

import socketserver
import struct
import threading

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from localcloud.edge.zones import Finding, Records, Zones

HOST = "127.0.0.1"
LARGEST_DATAGRAM = 1232
IDLE_SECONDS = 10.0
PORT_ATTEMPTS = 20


class DnsServer:
    """Listens on 127.0.0.1; port 0 takes a free one."""

    def __init__(self, zones: Zones, port: int = 5353) -> None:
        self._udp, self._tcp = _listen(zones, port)
        self._threads = [
            threading.Thread(target=server.serve_forever, args=(0.05,), name=name, daemon=True)
            for server, name in ((self._udp, "dns-udp"), (self._tcp, "dns-tcp"))
        ]

    @property
    def address(self) -> str:
        """`ip:port`, as DNS_RESOLVER wants it."""
        return f"{HOST}:{self._udp.server_address[1]}"

    def start(self) -> None:
        """Answer from now on."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop answering and give the port back."""
        for server in (self._udp, self._tcp):
            server.shutdown()
            server.server_close()


def reply(zones: Zones, wire: bytes, largest: int) -> bytes | None:
    """The answer to one message; None when it is no DNS question at all."""
    try:
        query = dns.message.from_wire(wire)
    except dns.exception.DNSException:
        return None
    if query.flags & dns.flags.QR:
        return None
    response = dns.message.make_response(query, our_payload=LARGEST_DATAGRAM)
    if query.opcode() != dns.opcode.QUERY or len(query.question) != 1:
        response.set_rcode(dns.rcode.NOTIMP)
    else:
        _answer(zones, query.question[0], response)
    return _to_wire(response, largest)


def _answer(zones: Zones, question: dns.rrset.RRset, response: dns.message.Message) -> None:
    if question.rdclass != dns.rdataclass.IN or question.rdtype == dns.rdatatype.ANY:
        response.set_rcode(dns.rcode.NOTIMP)
        return
    found: Finding = zones.find(question.name, dns.rdatatype.to_text(question.rdtype))
    response.set_rcode(found.rcode)
    if found.rcode != dns.rcode.REFUSED:
        response.flags |= dns.flags.AA
    response.answer = [_rrset(records) for records in found.answers]
    if found.soa is not None:
        response.authority = [_rrset(found.soa)]


def _rrset(records: Records) -> dns.rrset.RRset:
    return dns.rrset.from_text_list(
        records.name, records.ttl, "IN", records.type, records.values, origin=dns.name.root, relativize=False
    )


def _to_wire(response: dns.message.Message, largest: int) -> bytes:
    try:
        return response.to_wire(max_size=largest)
    except dns.exception.TooBig:
        response.flags |= dns.flags.TC
        response.answer, response.authority = [], []
        return response.to_wire(max_size=largest)


def _listen(zones: Zones, port: int) -> tuple[socketserver.UDPServer, socketserver.TCPServer]:
    for attempt in range(PORT_ATTEMPTS):
        udp = _UdpServer((HOST, port), _UdpHandler, zones)
        try:
            return udp, _TcpServer((HOST, udp.server_address[1]), _TcpHandler, zones)
        except OSError:
            udp.server_close()
            if port or attempt == PORT_ATTEMPTS - 1:
                raise
    raise OSError(f"no free DNS port on {HOST}")


class _UdpServer(socketserver.UDPServer):
    def __init__(self, address: tuple[str, int], handler: type["_UdpHandler"], zones: Zones) -> None:
        super().__init__(address, handler)
        self.zones = zones


class _TcpServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: type["_TcpHandler"], zones: Zones) -> None:
        super().__init__(address, handler)
        self.zones = zones


class _UdpHandler(socketserver.BaseRequestHandler):
    server: _UdpServer

    def handle(self) -> None:
        wire, sock = self.request
        offered = _offered_payload(wire)
        answer = reply(self.server.zones, wire, offered)
        if answer is not None:
            sock.sendto(answer, self.client_address)


class _TcpHandler(socketserver.StreamRequestHandler):
    server: _TcpServer
    timeout = IDLE_SECONDS

    def handle(self) -> None:
        try:
            while len(head := self.rfile.read(2)) == 2:
                (length,) = struct.unpack("!H", head)
                answer = reply(self.server.zones, self.rfile.read(length), 65535)
                if answer is None:
                    return
                self.wfile.write(struct.pack("!H", len(answer)) + answer)
        except (TimeoutError, ConnectionError):
            return


def _offered_payload(wire: bytes) -> int:
    try:
        offered = dns.message.from_wire(wire).payload
    except dns.exception.DNSException:
        return 512
    return min(max(offered, 512), LARGEST_DATAGRAM)
