#define _GNU_SOURCE
#include "load.h"
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

uint64_t published;
static int redis = -1;
static char channel[128], processor[64];
static int to_gateway, users_per_update = 50, entities = 4000, body_bytes = 256, active, next_user;
static uint64_t updates;
static uint8_t *out;
static size_t out_length, out_capacity;

void publisher_connect(int port, const char *password) {
  redis = socket(AF_INET, SOCK_STREAM, 0);
  int on = 1;
  setsockopt(redis, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  char text[256];
  int length = snprintf(text, sizeof text, "AUTH %s\r\n", password);
  if (connect(redis, (void *)&to, sizeof to) || write(redis, text, (size_t)length) != length ||
      read(redis, text, sizeof text) < 3 || text[0] != '+') {
    fprintf(stderr, "the publisher can't reach Redis on port %d\n", port);
    exit(1);
  }
}

void publisher_old(void) { to_gateway = 0; }

void publisher_gateway(const char *to, const char *as, int users, int how_many) {
  to_gateway = 1;
  snprintf(channel, sizeof channel, "%s", to);
  snprintf(processor, sizeof processor, "%s", as);
  users_per_update = users;
  entities = how_many;
}

void publisher_limits(int bytes, int users) {
  body_bytes = bytes;
  active = users;
  if (next_user >= users) next_user = 0;
}

static void room(size_t more) {
  if (out_length + more <= out_capacity) return;
  out = realloc(out, out_capacity = (out_length + more) * 2);
}

static void put(const void *data, size_t length) {
  room(length);
  memcpy(out + out_length, data, length);
  out_length += length;
}

static void put_text(const char *format, unsigned long long value) {
  char text[64];
  put(text, (size_t)snprintf(text, sizeof text, format, value));
}

static void flush(void) {
  char replies[65536];
  size_t at = 0;
  while (at < out_length) {
    ssize_t sent = send(redis, out + at, out_length - at, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent > 0) {
      at += (size_t)sent;
      continue;
    }
    struct pollfd wait = {redis, POLLOUT, 0};
    while (recv(redis, replies, sizeof replies, MSG_DONTWAIT) > 0) {}
    poll(&wait, 1, 5);
    pump(0); // clients are read meanwhile: what they are sent must not pile up behind us
  }
  out_length = 0;
  while (recv(redis, replies, sizeof replies, MSG_DONTWAIT) > 0) {}
}

static size_t body(char *text, uint64_t update, uint64_t stamp) {
  int length = sprintf(text, "{\"op\":\"upsert\",\"entity\":{\"id\":\"e%llu\",\"t\":%llu,\"version\":%llu,\"pad\":\"",
                       (unsigned long long)(update % (uint64_t)entities), (unsigned long long)stamp,
                       (unsigned long long)(update / (uint64_t)entities + 1));
  while (length < body_bytes - 3) text[length++] = 'x';
  return (size_t)length + (size_t)sprintf(text + length, "\"}}");
}

// --- MessagePack, as apps.contracts.bus decodes it ---

static void pack_head(uint8_t kind8, uint8_t kind32, uint8_t fix, size_t fix_below, uint64_t length) {
  uint8_t head[5] = {kind32, (uint8_t)(length >> 24), (uint8_t)(length >> 16), (uint8_t)(length >> 8), (uint8_t)length};
  if (length < fix_below) {
    uint8_t one = (uint8_t)(fix | length);
    put(&one, 1);
  } else if (kind8 && length < 256) {
    uint8_t two[2] = {kind8, (uint8_t)length};
    put(two, 2);
  } else {
    put(head, 5);
  }
}
static void pack_text(const char *text, size_t length) {
  pack_head(0xd9, 0xdb, 0xa0, 32, length);
  put(text, length);
}
static void pack_bytes(const void *data, size_t length) {
  pack_head(0xc4, 0xc6, 0, 0, length);
  put(data, length);
}
static void pack_list(size_t length) { pack_head(0, 0xdd, 0x90, 16, length); }
static void pack_number(uint64_t value) {
  uint8_t nine[9] = {0xcf};
  for (int i = 0; i < 8; i++) nine[1 + i] = (uint8_t)(value >> (56 - 8 * i));
  put(nine, 9);
}

// One Delivery of `count` items, each for the next `users_per_update` slots.
static void publish_delivery(long count, uint64_t stamp) {
  static char text[1 << 17];
  static uint32_t slots[1 << 16];
  struct timespec wall;
  clock_gettime(CLOCK_REALTIME, &wall);
  size_t before = out_length;
  pack_list(4); // tag, processor, at, items
  pack_text("delivery", 8);
  pack_text(processor, strlen(processor));
  pack_number((uint64_t)wall.tv_sec * 1000u + (uint64_t)wall.tv_nsec / 1000000u);
  pack_list((size_t)count);
  for (long i = 0; i < count; i++, updates++) {
    char id[32];
    pack_list(5); // id, version, removed, body, slots
    pack_text(id, (size_t)sprintf(id, "e%llu", (unsigned long long)(updates % (uint64_t)entities)));
    pack_number(updates / (uint64_t)entities + 1);
    put("\xc2", 1);
    pack_bytes(text, body(text, updates, stamp));
    for (int j = 0; j < users_per_update; j++) {
      slots[j] = (uint32_t)next_user;
      next_user = (next_user + 1) % active;
    }
    pack_bytes(slots, 4u * (size_t)users_per_update); // little-endian, as every machine here
  }
  size_t length = out_length - before;
  char head[256];
  size_t head_length = (size_t)sprintf(head, "*3\r\n$7\r\nPUBLISH\r\n$%zu\r\n%s\r\n$%zu\r\n", strlen(channel), channel, length);
  room(head_length + 2);
  memmove(out + before + head_length, out + before, length);
  memcpy(out + before, head, head_length);
  out_length += head_length;
  put("\r\n", 2);
}

static void publish_user(uint64_t stamp) {
  static char text[1 << 17];
  char name[32];
  size_t length = body(text, updates++, stamp);
  int name_length = sprintf(name, "user:%d", next_user);
  next_user = (next_user + 1) % active;
  put_text("*3\r\n$7\r\nPUBLISH\r\n$%llu\r\n", (unsigned long long)name_length);
  put(name, (size_t)name_length);
  put_text("\r\n$%llu\r\n", length);
  put(text, length);
  put("\r\n", 2);
}

long publish(long messages, uint64_t stamp) {
  if (to_gateway) {
    long count = messages / users_per_update;
    if (count) publish_delivery(count, stamp);
    messages = count * users_per_update;
  } else {
    for (long i = 0; i < messages; i++) {
      publish_user(stamp);
      if (out_length > 60000) flush();
    }
  }
  flush();
  published += (uint64_t)messages;
  return messages;
}
