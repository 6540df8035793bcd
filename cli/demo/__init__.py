"""`mldr demo`: a real model, real traffic, a region that dies, and what mldr makes of it, on this machine."""
