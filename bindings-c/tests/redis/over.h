/* Which adapter a test is over: hiredis, or sockets where COMITY_OVER_SOCKET is defined. */
#ifndef COMITY_OVER_H
#define COMITY_OVER_H

#include <comity.h>

#ifdef COMITY_OVER_SOCKET
#include <comity/adapters/socket.h>
#define OVER(name) comity_socket_##name
#define OVER_LINKS COMITY_SOCKET_LINKS
typedef comity_socket adapter;
#else
#include <comity/adapters/hiredis.h>
#define OVER(name) comity_hiredis_##name
#define OVER_LINKS COMITY_HIREDIS_LINKS
typedef comity_hiredis adapter;
#endif

#endif
