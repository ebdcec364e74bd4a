// The least that receiving the streams of `mock` can cost: epoll and recv, bytes thrown away, users in closed loop.
//
//   cc -O2 -o limit limit.c && ./limit PORT STREAMS REQUESTS OSL
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

static char request[1024], piece[65536];

static void ask(int fd, int length) {
  if (send(fd, request, length, 0) != length) perror("limit"), exit(1);
}

int main(int count, char **words) {
  if (count != 5) return fprintf(stderr, "usage: limit PORT STREAMS REQUESTS OSL\n"), 2;
  int port = atoi(words[1]), streams = atoi(words[2]), requests = atoi(words[3]), osl = atoi(words[4]), one = 1, sent = 0;
  char body[512];
  int body_length = sprintf(body, "{\"model\":\"mock\",\"prompt\":[1],\"max_tokens\":%d,\"stream\":true,\"return_token_ids\":true,"
                                  "\"stream_options\":{\"include_usage\":true,\"continuous_usage_stats\":true}}", osl);
  int length = sprintf(request, "POST /v1/completions HTTP/1.1\r\nHost: mock\r\nContent-Length: %d\r\n\r\n%s", body_length, body);
  int epoll = epoll_create1(0);
  for (int i = 0; i < streams; i++) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (connect(fd, (void *)&address, sizeof address)) return perror("limit"), 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    if (sent < requests) ask(fd, length), sent++;
  }
  struct epoll_event events[1024];
  for (int done = 0; done < requests;) {
    int ready = epoll_wait(epoll, events, 1024, -1);
    for (int i = 0; i < ready; i++) {
      ssize_t got = recv(events[i].data.fd, piece, sizeof piece, MSG_DONTWAIT);
      if (got < 0 && errno == EAGAIN) continue;
      if (got <= 0) return fprintf(stderr, "limit: a connection closed\n"), 1;
      if (got < 5 || memcmp(piece + got - 5, "0\r\n\r\n", 5)) continue;
      done++;
      if (sent < requests) ask(events[i].data.fd, length), sent++;
    }
  }
}
