#define _GNU_SOURCE
#include "load.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

// Microseconds: exact below 64, then 32 steps per doubling (3 %).
#define EXACT 64
#define STEPS 32
#define BUCKETS (EXACT + STEPS * 40)
static uint64_t histogram[BUCKETS];

static int bucket_of(uint64_t us) {
  if (us < EXACT) return (int)us;
  int exponent = 63 - __builtin_clzll(us);
  int bucket = EXACT + (exponent - 6) * STEPS + (int)((us >> (exponent - 5)) & (STEPS - 1));
  return bucket < BUCKETS ? bucket : BUCKETS - 1;
}

static double value_of(int bucket) {
  if (bucket < EXACT) return bucket;
  int exponent = (bucket - EXACT) / STEPS + 6, step = (bucket - EXACT) % STEPS;
  return (double)((uint64_t)(STEPS + step) << (exponent - 5));
}

void latency_reset(void) { memset(histogram, 0, sizeof histogram); }
void latency_add(uint64_t ns) { histogram[bucket_of(ns / 1000)]++; }

double latency_us(double share) {
  uint64_t total = 0, seen = 0;
  for (int i = 0; i < BUCKETS; i++) total += histogram[i];
  if (!total) return -1;
  uint64_t wanted_rank = (uint64_t)((double)total * share);
  for (int i = 0; i < BUCKETS; i++)
    if ((seen += histogram[i]) > wanted_rank) return value_of(i);
  return value_of(BUCKETS - 1);
}

static int pids[MAX_PROCESSES], pid_count = 0;

void watch(const char *list) {
  pid_count = 0;
  for (const char *p = list; *p && pid_count < MAX_PROCESSES; p++) {
    pids[pid_count++] = atoi(p);
    if (!(p = strchr(p, ','))) break;
  }
}

static double process_cpu(int pid) {
  char path[64], text[2048];
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  FILE *file = fopen(path, "r");
  if (!file) return 0;
  text[fread(text, 1, sizeof text - 1, file)] = 0;
  fclose(file);
  unsigned long user = 0, kernel = 0;
  char *after_name = strrchr(text, ')');
  if (after_name)
    sscanf(after_name + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &kernel);
  return (double)(user + kernel) / (double)sysconf(_SC_CLK_TCK);
}

void cpu_read(Cpu *into) {
  unsigned long user = 0, nice = 0, kernel = 0, idle = 0, wait = 0, irq = 0, soft = 0, steal = 0;
  FILE *file = fopen("/proc/stat", "r");
  if (file) {
    if (fscanf(file, "cpu %lu %lu %lu %lu %lu %lu %lu %lu", &user, &nice, &kernel, &idle, &wait, &irq, &soft,
               &steal) != 8)
      steal = 0;
    fclose(file);
  }
  double ticks = (double)sysconf(_SC_CLK_TCK);
  into->busy = (double)(user + nice + kernel + irq + soft) / ticks;
  into->steal = (double)steal / ticks;
  for (int i = 0; i < pid_count; i++) into->process[i] = process_cpu(pids[i]);
  struct rusage self;
  getrusage(RUSAGE_SELF, &self);
  into->self = (double)(self.ru_utime.tv_sec + self.ru_stime.tv_sec) +
               (double)(self.ru_utime.tv_usec + self.ru_stime.tv_usec) / 1e6;
}

void cpu_print(const Cpu *from, const Cpu *to, double seconds) {
  double known = (to->self - from->self) / seconds;
  printf("\"client_cores\":%.4f,\"cores\":[", known);
  for (int i = 0; i < pid_count; i++) {
    double cores = (to->process[i] - from->process[i]) / seconds;
    known += cores;
    printf("%s%.4f", i ? "," : "", cores);
  }
  printf("],\"other_cores\":%.4f,\"steal_cores\":%.4f", (to->busy - from->busy) / seconds - known,
         (to->steal - from->steal) / seconds);
}
