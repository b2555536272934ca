#define _GNU_SOURCE
#include "load.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int publishes; // once a publisher is connected
static int settled(uint64_t since_ns, double seconds) { return (double)(now_ns() - since_ns) > seconds * 1e9; }

static char **lines_of(const char *path, int count) {
  FILE *file = fopen(path, "r");
  if (!file) {
    perror(path);
    exit(1);
  }
  char **lines = calloc((size_t)count, sizeof *lines);
  size_t size = 0;
  for (int i = 0; i < count; i++) {
    ssize_t length = getline(&lines[i], &size, file);
    if (length > 0 && lines[i][length - 1] == '\n') lines[i][length - 1] = 0;
    size = 0;
  }
  fclose(file);
  return lines;
}

// Start clients, at most `at_once` on their way; they return when they are told to. Ends when all are ready, or when
// nothing has moved for 40 s.
static void connect_clients(int first, int count, int at_once) {
  int next = first, last = first + count, before = ready_count, closed = closed_count, failed = failed_count;
  int told = told_to_return;
  uint64_t begun = now_ns(), moved = begun;
  Cpu from, to;
  cpu_read(&from);
  int seen = ready_count;
  while (ready_count - before < count) {
    int lost = (closed_count - closed) + (failed_count - failed);
    while (next < last && (next - first) - (ready_count - before) - lost < at_once) client_start(next++);
    clients_return();
    pump(5);
    if (ready_count != seen) {
      seen = ready_count;
      moved = now_ns();
    }
    if (settled(moved, 40)) break;
  }
  double seconds = (double)(now_ns() - begun) / 1e9;
  cpu_read(&to);
  printf("{\"ready\":%d,\"open\":%d,\"failed\":%d,\"closed\":%d,\"told_to_return\":%d,\"last_close\":%d,\"seconds\":%.3f,", ready_count,
         open_count, failed_count - failed, closed_count - closed, told_to_return - told,
         last_close_code, seconds);
  cpu_print(&from, &to, seconds);
  printf("}\n");
}

// `rate` messages a second, or with 0 as fast as `window` messages under way allow.
static void run(double rate, double seconds, long window) {
  Cpu from, to;
  uint64_t delivered_before = delivered, sent_before = published, begun = now_ns(), moved = begun;
  double warm = seconds * 0.25 > 1 ? 1 : seconds * 0.25;
  uint64_t start = begun + (uint64_t)(warm * 1e9), end = start + (uint64_t)(seconds * 1e9);
  uint64_t d0 = 0, p0 = 0, f0 = 0, b0 = 0, due_before = 0, seen = delivered;
  int warming = 1, stuck = 0;
  for (;;) {
    uint64_t now = now_ns();
    if (warming && now >= start) {
      warming = 0;
      start = now;
      latency_reset();
      d0 = delivered, p0 = published, f0 = frames, b0 = bytes_read;
      cpu_read(&from);
    }
    if (now >= end) break;
    if (rate > 0) {
      uint64_t due = (uint64_t)((double)(now - begun) / 1e9 * rate);
      // the stamp is when the first of them was due, not when we got to it
      if (due > due_before) due_before += (uint64_t)publish((long)(due - due_before), begun + (uint64_t)((double)(due_before + 1) / rate * 1e9));
      pump(0);
      if (now_ns() - now < 100000) pump(-1);
    } else {
      long under_way = (long)((published - sent_before) - (delivered - delivered_before));
      if (window - under_way < (window > 256 ? 50 : 1) || !publish(window - under_way, now)) pump(-1);
      else pump(0);
      if (delivered != seen) {
        seen = delivered;
        moved = now;
      } else if (settled(moved, 3)) {
        stuck = 1;
        break;
      }
    }
  }
  double taken = (double)(now_ns() - start) / 1e9;
  uint64_t d1 = delivered, p1 = published, f1 = frames, b1 = bytes_read;
  cpu_read(&to);
  printf("{\"seconds\":%.3f,\"published\":%.0f,\"delivered\":%.0f,\"frames\":%.0f,\"megabytes\":%.2f,\"stuck\":%s,"
         "\"p50_ms\":%.3f,\"p90_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f,",
         taken, (double)(p1 - p0) / taken, (double)(d1 - d0) / taken, (double)(f1 - f0) / taken,
         (double)(b1 - b0) / taken / 1e6, stuck ? "true" : "false", latency_us(.5) / 1e3, latency_us(.9) / 1e3,
         latency_us(.99) / 1e3, latency_us(.999999) / 1e3);
  cpu_print(&from, &to, taken);
  uint64_t last_wait = now_ns();
  while (!settled(last_wait, 3) && delivered - delivered_before < published - sent_before) pump(5);
  printf(",\"lost\":%lld}\n", (long long)(published - sent_before) - (long long)(delivered - delivered_before));
}

// Every client in turn sends its viewport, moved a little.
static void viewports(double rate, double seconds, int old) {
  Cpu from, to;
  uint64_t begun = now_ns(), end = begun + (uint64_t)(seconds * 1e9), sent = 0;
  int next = 0;
  cpu_read(&from);
  for (;;) {
    uint64_t now = now_ns();
    if (now >= end) break;
    uint64_t due = (uint64_t)((double)(now - begun) / 1e9 * rate);
    for (; sent < due; sent++, next = (next + 1) % wanted) {
      char text[256];
      double south = 30 + (double)(sent * 7919 % 1000) / 100, west = -100 + (double)(sent * 104729 % 1000) / 50;
      snprintf(text, sizeof text,
               old ? "{\"type\":\"viewport\",\"bounds\":{\"south\":%.5f,\"west\":%.5f,\"north\":%.5f,\"east\":%.5f},\"zoom\":13}"
                   : "{\"type\":\"viewport\",\"south\":%.5f,\"west\":%.5f,\"north\":%.5f,\"east\":%.5f,\"zoom\":13}",
               south, west, south + .05, west + .08);
      if (client_ready(next)) client_send(next, text);
    }
    pump(0);
    pump(-1);
  }
  double taken = (double)(now_ns() - begun) / 1e9;
  cpu_read(&to);
  printf("{\"seconds\":%.3f,\"sent\":%.0f,\"open\":%d,", taken, (double)sent / taken, open_count);
  cpu_print(&from, &to, taken);
  printf("}\n");
}

// Nothing is published; frames of the server (heartbeats) are read and answered.
static void idle(double seconds) {
  Cpu from, to;
  cpu_read(&from);
  uint64_t begun = now_ns();
  while (!settled(begun, seconds)) pump(20);
  cpu_read(&to);
  printf("{\"ready\":%d,\"closed\":%d,", ready_count, closed_count);
  cpu_print(&from, &to, (double)(now_ns() - begun) / 1e9);
  printf("}\n");
}

static int obey(char *line) {
  double a, b;
  long n;
  int i, j, k;
  char one[256], two[256];
  if (sscanf(line, "connect %d %d %d", &i, &j, &k) == 3) connect_clients(i, j, k);
  else if (sscanf(line, "run %lf %lf %ld", &a, &b, &n) == 3 && publishes) run(a, b, n);
  else if (sscanf(line, "viewports %lf %lf %d", &a, &b, &i) == 3) viewports(a, b, i);
  else if (sscanf(line, "idle %lf", &a) == 1) idle(a);
  else if (!strncmp(line, "watch ", 6)) watch(line + 6), puts("{}");
  else if (sscanf(line, "close %d %d", &i, &j) == 2) clients_close(i, j), printf("{\"open\":%d}\n", open_count);
  else if (sscanf(line, "redis %d %255s", &i, one) == 2) publisher_connect(i, one), publishes = 1, puts("{}");
  else if (!strcmp(line, "as old")) publisher_old(), puts("{}");
  else if (sscanf(line, "as gateway %255s %255s %d %d", one, two, &i, &j) == 4) publisher_gateway(one, two, i, j), puts("{}");
  else if (sscanf(line, "limits %d %d", &i, &j) == 2) publisher_limits(i, j), puts("{}");
  else if (!strcmp(line, "quit")) return 0;
  else printf("{\"error\":\"unknown or too early: %s\"}\n", line);
  fflush(stdout);
  return 1;
}

// load PORT CLIENTS READY HELLO-FILE [AFTER SECOND-FILE]
int main(int argc, char **argv) {
  if (argc != 5 && argc != 7) return 2;
  int count = atoi(argv[2]);
  Script script = {.port = atoi(argv[1]), .ready = argv[3], .hello = lines_of(argv[4], count)};
  if (argc == 7) script.after = argv[5], script.second = lines_of(argv[6], count);
  clients_init(count, &script);
  char line[1024];
  size_t length = 0;
  fcntl(0, F_SETFL, O_NONBLOCK);
  for (;;) { // between commands clients are read on, or they would count as stalled
    ssize_t got = read(0, line + length, 1);
    if (got == 0) break;
    if (got < 0) {
      pump(20);
      continue;
    }
    if (line[length] != '\n') {
      if (length < sizeof line - 1) length++;
      continue;
    }
    line[length] = 0;
    length = 0;
    if (!obey(line)) break;
  }
  clients_close(0, wanted);
  return 0;
}
