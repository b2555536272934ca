#define _GNU_SOURCE
#include "load.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNECTING, UPGRADING, GREETING, READY, CLOSED };

typedef struct {
  int fd, state, second_sent;
  uint8_t *kept; // a frame that is not whole yet
  size_t length, capacity;
  uint64_t return_at; // told with 1013 to come back; 0: not
} Client;

int wanted, ready_count, open_count, closed_count, failed_count, told_to_return, last_close_code = -1;
uint64_t delivered, frames, bytes_read;
static Client *clients;
static Script script;
static int epoll;

void clients_init(int count, const Script *given) {
  wanted = count;
  script = *given;
  clients = calloc((size_t)count, sizeof *clients);
  for (int i = 0; i < count; i++) clients[i].state = CLOSED;
  epoll = epoll_create1(0);
}

int client_ready(int number) { return clients[number].state == READY; }

static void drop(Client *client) {
  if (client->state == CLOSED) return;
  if (client->state == READY) ready_count--;
  close(client->fd);
  client->state = CLOSED;
  if (!client->return_at) closed_count++;
  open_count--;
  free(client->kept);
  client->kept = NULL;
}

void client_start(int number) {
  Client *client = &clients[number];
  memset(client, 0, sizeof *client);
  client->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  int on = 1;
  setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)script.port)};
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (client->fd < 0 || (connect(client->fd, (void *)&to, sizeof to) < 0 && errno != EINPROGRESS)) {
    if (client->fd >= 0) close(client->fd);
    client->state = CLOSED;
    failed_count++;
    return;
  }
  struct epoll_event event = {.events = EPOLLOUT, .data.u32 = (uint32_t)number};
  epoll_ctl(epoll, EPOLL_CTL_ADD, client->fd, &event);
  open_count++;
}

void clients_close(int first, int count) {
  struct linger reset = {.l_onoff = 1, .l_linger = 0};
  for (int i = first; i < first + count && i < wanted; i++) {
    if (clients[i].state == CLOSED) continue;
    setsockopt(clients[i].fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    drop(&clients[i]);
  }
}

void client_send(int number, const char *text) {
  static uint8_t frame[16384];
  size_t length = strlen(text), head = 0;
  if (length > sizeof frame - 16) return;
  frame[head++] = 0x81; // final, text
  if (length < 126) {
    frame[head++] = (uint8_t)(0x80 | length);
  } else {
    frame[head++] = 0x80 | 126;
    frame[head++] = (uint8_t)(length >> 8);
    frame[head++] = (uint8_t)length;
  }
  memset(frame + head, 0, 4); // a mask of zeros leaves the text as it is
  head += 4;
  memcpy(frame + head, text, length);
  if (write(clients[number].fd, frame, head + length) < 0) failed_count++;
}

static void answer_ping(int number, uint8_t *data, size_t length) {
  if (memmem(data, length, "\"type\":\"ping\"", 13)) client_send(number, "{\"v\":1,\"type\":\"pong\"}");
}

static void take_message(int number, uint8_t *data, size_t length) {
  Client *client = &clients[number];
  if (client->state == GREETING) {
    if (script.second && !client->second_sent && memmem(data, length, script.after, strlen(script.after))) {
      client->second_sent = 1;
      client_send(number, script.second[number]);
    } else if (memmem(data, length, script.ready, strlen(script.ready))) {
      client->state = READY;
      ready_count++;
    } else {
      answer_ping(number, data, length);
    }
    return;
  }
  uint64_t read_at = 0;
  uint8_t *at = data, *end = data + length;
  int found = 0;
  while ((at = memmem(at, (size_t)(end - at), "\"t\":", 4))) { // one stamp in every user message
    at += 4;
    uint64_t stamp = 0;
    while (at < end && *at >= '0' && *at <= '9') stamp = stamp * 10 + (uint64_t)(*at++ - '0');
    if (!read_at) read_at = now_ns();
    latency_add(read_at > stamp ? read_at - stamp : 0);
    delivered++;
    found = 1;
  }
  frames += (uint64_t)found;
  if (!found) answer_ping(number, data, length);
}

static void take_close(Client *client, uint8_t *data, size_t length) {
  static const char wait[] = "\"retry_ms\":";
  last_close_code = length >= 2 ? data[0] << 8 | data[1] : 0;
  uint8_t *found = last_close_code == 1013 ? memmem(data, length, wait, sizeof wait - 1) : NULL;
  if (!found) return;
  uint64_t milliseconds = 0;
  for (found += sizeof wait - 1; found < data + length && *found >= '0' && *found <= '9'; found++)
    milliseconds = milliseconds * 10 + (uint64_t)(*found - '0');
  client->return_at = now_ns() + milliseconds * 1000000;
  told_to_return++;
}

void clients_return(void) {
  uint64_t now = now_ns();
  for (int i = 0; i < wanted; i++)
    if (clients[i].state == CLOSED && clients[i].return_at && clients[i].return_at <= now) client_start(i);
}

// Returns how much of `data` is whole frames.
static size_t take_frames(int number, uint8_t *data, size_t length) {
  size_t at = 0;
  while (length - at >= 2 && clients[number].state != CLOSED) {
    uint64_t size = data[at + 1] & 127;
    size_t head = 2;
    if (size == 126) {
      if (length - at < 4) break;
      size = (uint64_t)data[at + 2] << 8 | data[at + 3];
      head = 4;
    } else if (size == 127) {
      if (length - at < 10) break;
      size = 0;
      for (int i = 0; i < 8; i++) size = size << 8 | data[at + 2 + (size_t)i];
      head = 10;
    }
    if (length - at < head + size) break;
    int kind = data[at] & 15;
    if (kind == 1 || kind == 2) take_message(number, data + at + head, size);
    if (kind == 8) {
      take_close(&clients[number], data + at + head, size);
      drop(&clients[number]);
      return length;
    }
    at += head + size;
  }
  return at;
}

static void upgraded(int number, uint8_t *data, size_t length, size_t *at) {
  uint8_t *end = memmem(data, length, "\r\n\r\n", 4);
  if (!end) return;
  if (memcmp(data, "HTTP/1.1 101", 12)) {
    failed_count++;
    drop(&clients[number]);
    return;
  }
  *at = (size_t)(end + 4 - data);
  clients[number].state = GREETING;
  client_send(number, script.hello[number]);
}

static void on_readable(int number) {
  static uint8_t shared[1 << 17];
  Client *client = &clients[number];
  for (;;) {
    uint8_t *data = shared;
    size_t room = sizeof shared;
    if (client->length) {
      if (client->capacity < client->length + 65536)
        client->kept = realloc(client->kept, client->capacity = client->length + 131072);
      data = client->kept;
      room = client->capacity - client->length;
    }
    ssize_t got = read(client->fd, data + client->length, room);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
      drop(client);
      return;
    }
    bytes_read += (uint64_t)got;
    size_t have = client->length + (size_t)got, at = 0;
    if (client->state == UPGRADING) upgraded(number, data, have, &at);
    if (client->state == GREETING || client->state == READY) at += take_frames(number, data + at, have - at);
    if (client->state == CLOSED) return;
    client->length = have - at;
    if (client->length && data == shared) {
      if (client->capacity < client->length)
        client->kept = realloc(client->kept, client->capacity = client->length + 4096);
      memcpy(client->kept, data + at, client->length);
    } else if (client->length) {
      memmove(client->kept, client->kept + at, client->length);
    } else if (client->kept) { // ten thousand buffers of a snapshot's size would be a gigabyte
      free(client->kept);
      client->kept = NULL;
      client->capacity = 0;
    }
    if ((size_t)got < 65536) return;
  }
}

static void on_connected(int number) {
  Client *client = &clients[number];
  int error = 0;
  socklen_t size = sizeof error;
  getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &error, &size);
  if (error) {
    failed_count++;
    drop(client);
    return;
  }
  static const char request[] = "GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
                                "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
  if (write(client->fd, request, sizeof request - 1) < 0) failed_count++;
  client->state = UPGRADING;
  struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)number};
  epoll_ctl(epoll, EPOLL_CTL_MOD, client->fd, &event);
}

void pump(int milliseconds) {
  struct epoll_event events[1024];
  struct timespec tenth = {0, 100000};
  int count = milliseconds < 0 ? epoll_pwait2(epoll, events, 1024, &tenth, NULL)
                               : epoll_wait(epoll, events, 1024, milliseconds);
  for (int i = 0; i < count; i++) {
    int number = (int)events[i].data.u32;
    if (clients[number].state == CLOSED) continue;
    if (clients[number].state == CONNECTING) on_connected(number);
    else on_readable(number);
  }
}
