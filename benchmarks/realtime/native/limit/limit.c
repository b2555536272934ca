// The loopback limit: an epoll server that does nothing but hand each user message to its socket with one send().
// One Redis connection subscribes to every user's channel. limit PORT REDIS-PORT PASSWORD
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_USERS 100000
#define MAX_SOCKETS 100000
static int socket_of[MAX_USERS], user_of[MAX_SOCKETS], upgraded[MAX_SOCKETS];
static int epoll, redis;

static void watch(int fd) {
  struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
  epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

static void deliver(int user, const char *text, size_t length) {
  static char frame[1 << 17];
  if (user < 0 || user >= MAX_USERS || !socket_of[user] || length > sizeof frame - 4) return;
  size_t head = length < 126 ? 2 : 4;
  frame[0] = (char)0x81;
  frame[1] = (char)(length < 126 ? length : 126);
  frame[2] = (char)(length >> 8);
  frame[3] = (char)length;
  memcpy(frame + head, text, length);
  if (send(socket_of[user], frame, head + length, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) return; // a full socket loses it
}

// One RESP array of three strings or numbers; returns its end, or NULL when it is not whole.
static char *parse(char *at, char *end, char *field[3], size_t length[3]) {
  char *line = memchr(at, '\n', (size_t)(end - at));
  if (!line) return NULL;
  if (*at != '*') { // +OK of the AUTH
    length[0] = 0;
    return line + 1;
  }
  at = line + 1;
  for (int i = 0; i < 3; i++) {
    line = at < end ? memchr(at, '\n', (size_t)(end - at)) : NULL;
    if (!line) return NULL;
    int is_number = *at == ':';
    field[i] = line + 1;
    length[i] = is_number ? 0 : (size_t)atoi(at + 1);
    at = line + 1;
    if (is_number) continue;
    if ((size_t)(end - at) < length[i] + 2) return NULL;
    at += length[i] + 2;
  }
  return at;
}

static void from_redis(void) {
  static char buffer[1 << 20];
  static size_t kept;
  ssize_t got = recv(redis, buffer + kept, sizeof buffer - kept - 1, MSG_DONTWAIT);
  if (got == 0) exit(0);
  if (got < 0) return;
  kept += (size_t)got;
  buffer[kept] = 0;
  char *at = buffer, *end = buffer + kept, *next, *field[3];
  size_t length[3];
  while (at < end && (next = parse(at, end, field, length))) {
    if (length[0] == 7) deliver(atoi(field[1] + 5), field[2], length[2]); // message
    if (length[0] == 9) deliver(atoi(field[1] + 5), "{\"type\":\"ready\"}", 16); // subscribe
    at = next;
  }
  kept = (size_t)(end - at);
  memmove(buffer, at, kept);
}

static void from_client(int fd) {
  static const char answer[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                               "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
  char text[4096], command[160], name[32];
  ssize_t got = read(fd, text, sizeof text - 1);
  if (got < 0 && errno == EAGAIN) return;
  if (got <= 0) {
    socket_of[user_of[fd]] = 0;
    close(fd);
    return;
  }
  if (!upgraded[fd]) {
    upgraded[fd] = write(fd, answer, sizeof answer - 1) > 0;
    return;
  }
  char *user = memmem(text, (size_t)got, "userId\":\"", 9);
  if (!user) return;
  user_of[fd] = atoi(user + 9) % MAX_USERS;
  socket_of[user_of[fd]] = fd;
  int name_length = sprintf(name, "user:%d", user_of[fd]);
  int length = sprintf(command, "*2\r\n$9\r\nSUBSCRIBE\r\n$%d\r\n%s\r\n", name_length, name);
  if (write(redis, command, (size_t)length) != length) exit(1);
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  epoll = epoll_create1(0);
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1]))};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(listener, (void *)&address, sizeof address) || listen(listener, 4096)) return 1;
  redis = socket(AF_INET, SOCK_STREAM, 0);
  address.sin_port = htons((uint16_t)atoi(argv[2]));
  if (connect(redis, (void *)&address, sizeof address)) return 1;
  setsockopt(redis, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  char text[160];
  int length = snprintf(text, sizeof text, "AUTH %s\r\n", argv[3]);
  if (write(redis, text, (size_t)length) != length) return 1;
  watch(listener);
  watch(redis);
  for (;;) {
    struct epoll_event events[512];
    int count = epoll_wait(epoll, events, 512, -1);
    for (int i = 0; i < count; i++) {
      int fd = events[i].data.fd, client;
      if (fd == redis) from_redis();
      else if (fd != listener) from_client(fd);
      else
        while ((client = accept4(listener, 0, 0, SOCK_NONBLOCK)) >= 0) {
          if (client >= MAX_SOCKETS) exit(1);
          setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
          upgraded[client] = 0;
          user_of[client] = 0;
          watch(client);
        }
    }
  }
}
