// The load client: websockets that count and time what they are sent, and a publisher in the same process, so that
// one clock stamps and reads. One thread; commands come on stdin, one line of JSON answers each on stdout.
#pragma once
#include <stddef.h>
#include <stdint.h>

// --- measure.c: clock, latencies, what /proc says ---
uint64_t now_ns(void);
void latency_reset(void);
void latency_add(uint64_t ns);
double latency_us(double share); // -1 when there is none

#define MAX_PROCESSES 64
typedef struct {
  double process[MAX_PROCESSES]; // seconds of CPU since their start
  double busy, steal;            // of the whole machine
  double self;
} Cpu;
void watch(const char *comma_separated_pids);
void cpu_read(Cpu *into);
void cpu_print(const Cpu *from, const Cpu *to, double seconds); // as JSON members, without a brace

// --- clients.c: the websockets ---
typedef struct {
  int port;
  char **hello;       // first frame of each client
  char **second;      // sent when `after` was read; NULL: none
  const char *after;
  const char *ready;  // a client is ready when it has read this
} Script;
extern int wanted, ready_count, open_count, closed_count, failed_count, told_to_return, last_close_code;
extern uint64_t delivered, frames, bytes_read;
void clients_init(int count, const Script *script);
void client_start(int number);
void clients_return(void); // start those whose time to return has come
void clients_close(int first, int count); // with a reset, as a crash does
void client_send(int number, const char *text);
int client_ready(int number);
void pump(int milliseconds); // -1: a tenth of a millisecond

// --- publisher.c: user messages into Redis, as the old design or as a processor sends them ---
void publisher_connect(int port, const char *password);
void publisher_old(void);                                   // PUBLISH user:N body
void publisher_gateway(const char *channel, const char *processor, int users_per_update, int entities);
void publisher_limits(int body_bytes, int active_users);
long publish(long messages, uint64_t stamp); // returns how many were published: whole updates
extern uint64_t published;
