// A streaming completions server that outruns any client and knows when it sent what. One thread, loopback only.
//
//   cc -O2 -o mock mock.c && ./mock PORT GAP_US FIRST_US TOKENS
//
// GAP_US     time between two chunks of a stream; 0: flood, everything at once as fast as the socket takes it
// FIRST_US   time from a request's arrival to its first chunk: 50000, or 50000-150000 for one between, anew for each
// TOKENS     tokens of each chunk, repeated in turn: 1, or 1,2,3,4
//
// POST /v1/completions, /v1/chat/completions   server-sent events over chunked HTTP/1.1, worded as vLLM words them;
//            usage in each chunk, the final usage and token ids where they are asked for; the first words of a text and the
//            id of a completion say the request's number, in order of arrival, so that what a client kept can be told apart
// GET /stats what it did: counts, true times to first token and between chunks, how many requests it held
// GET /log   one line a request: number, its x-request-id or seed, arrival, then `sent:tokens` of each chunk;
//            CLOCK_MONOTONIC ns, before send(); of a flood no chunks
// GET /count requests that came, that were answered to their end, and chunks sent, so far
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_FD = 20000, MAX_EVENTS = 512, MAX_PATTERN = 16, QUEUE = 1 << 16, KEY = 64, NUMBER_BITS = 16 };

typedef struct { char *at; size_t length, room; } Text;

typedef struct {           // one request, kept for /log
  char key[KEY];
  uint64_t arrived_ns;
  uint64_t *sent_ns;
  int *tokens, chunks;
} Request;

typedef struct {
  int fd, chat, wanted, tokens, chunk, usage, continuous, ids, streaming, blocked, number;
  unsigned turn;           // grows with each request: entries of the queues that lag behind are void
  uint64_t due_ns;
  Request *request;
  Text in, out;
  size_t out_at;
} Connection;

typedef struct { int fd; unsigned turn; uint64_t due_ns; } Due;
typedef struct { Due entries[QUEUE]; size_t head, tail; } Queue;

static Connection *connections[MAX_FD];
static Queue queues[2];    // first chunks, later chunks: each in order of time
static uint64_t gap_ns, first_ns, first_spread_ns;
static int pattern[MAX_PATTERN], patterns, epoll, active, most_active;
static unsigned turns;
static Request **requests;
static size_t request_count, request_room;
static uint64_t area, area_ns, held_from_ns, held_area, held_to_ns, held_area_end, chunk_count, token_count, done_count;

static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void *grown(void *at, size_t size) {
  void *new = realloc(at, size);
  if (!new) abort();
  return new;
}

static void add(Text *text, const char *bytes, size_t length) {
  if (text->length + length + 1 > text->room) text->at = grown(text->at, text->room = 2 * (text->length + length + 1));
  memcpy(text->at + text->length, bytes, length);
  text->at[text->length += length] = 0;
}

static void say(Text *text, const char *format, ...) {
  char line[4096];
  va_list values;
  va_start(values, format);
  int length = vsnprintf(line, sizeof line, format, values);
  va_end(values);
  add(text, line, length);
}

// How many requests are held, as an average over the time from the first moment of most of them to the last arrival.
static void held(int change) {
  uint64_t t = now();
  area += active * (t - area_ns);
  area_ns = t;
  active += change;
  if (active > most_active) most_active = active, held_from_ns = t, held_area = area;
  if (change > 0) held_to_ns = t, held_area_end = area;
}

static void watch(Connection *c, int operation, int writing) {
  struct epoll_event event = {.events = EPOLLIN | (writing ? EPOLLOUT : 0), .data.fd = c->fd};
  epoll_ctl(epoll, operation, c->fd, &event);
}

static void hang_up(Connection *c) {
  if (c->streaming) held(-1);
  connections[c->fd] = NULL;
  close(c->fd);
  free(c->in.at);
  free(c->out.at);
  free(c);
}

// Send what waits; -1 when the connection is gone.
static int flush(Connection *c) {
  while (c->out_at < c->out.length) {
    ssize_t sent = send(c->fd, c->out.at + c->out_at, c->out.length - c->out_at, MSG_NOSIGNAL);
    if (sent < 0 && errno == EAGAIN) {
      if (!c->blocked) watch(c, EPOLL_CTL_MOD, c->blocked = 1);
      return 0;
    }
    if (sent < 0) return hang_up(c), -1;
    c->out_at += sent;
  }
  if (c->blocked) watch(c, EPOLL_CTL_MOD, c->blocked = 0);
  c->out.length = c->out_at = 0;
  return 0;
}

static void event(Text *out, const char *data, size_t length) {
  char size[16];
  add(out, size, sprintf(size, "%zx\r\n", length + 8));
  add(out, "data: ", 6);
  add(out, data, length);
  add(out, "\n\n\r\n", 4);
}

static int write_usage(char *to, const Connection *c) {
  return sprintf(to, ",\"usage\":{\"prompt_tokens\":16,\"total_tokens\":%d,\"completion_tokens\":%d}", 16 + c->tokens, c->tokens);
}

static int write_head(char *to, const Connection *c) {
  return sprintf(to, "{\"id\":\"cmpl-%032d\",\"object\":\"%s\",\"created\":1763760000,\"model\":\"mock\",\"choices\":[", c->number,
                 c->chat ? "chat.completion.chunk" : "text_completion");
}

// A token of the text: the request's number, lowest bit first, then something else. Each word is one token.
static const char *word(const Connection *c, int token) {
  if (token >= NUMBER_BITS) return " a";
  return c->number >> token & 1 ? " one" : " zero";
}

static void write_chunk(Connection *c, int new, int last) {
  char data[2048], *at = data;
  at += write_head(at, c);
  at += sprintf(at, c->chat ? "{\"index\":0,\"delta\":{\"content\":\"" : "{\"index\":0,\"text\":\"");
  for (int i = c->tokens - new; i < c->tokens; i++) at += sprintf(at, "%s", word(c, i));
  at += sprintf(at, "\"%s,\"logprobs\":null,\"finish_reason\":%s,\"stop_reason\":null", c->chat ? "}" : "", last ? "\"length\"" : "null");
  if (c->ids) {
    at += sprintf(at, ",\"prompt_token_ids\":null,\"token_ids\":[");
    for (int i = 0; i < new; i++) at += sprintf(at, i ? ",%d" : "%d", 1000 + i);
    at += sprintf(at, "]");
  }
  at += sprintf(at, "}]");
  if (c->continuous) at += write_usage(at, c);
  at += sprintf(at, "}");
  event(&c->out, data, at - data);
}

static void write_end(Connection *c) {
  char data[1024], *at = data;
  if (c->usage) {
    at += write_head(at, c);
    at += sprintf(at, "]");
    at += write_usage(at, c);
    at += sprintf(at, "}");
    event(&c->out, data, at - data);
  }
  event(&c->out, "[DONE]", 6);
  add(&c->out, "0\r\n\r\n", 5);
}

static void later(int queue, Connection *c) {
  Queue *q = &queues[queue];
  size_t at = q->tail++;
  for (; at != q->head && q->entries[(at - 1) % QUEUE].due_ns > c->due_ns; at--) q->entries[at % QUEUE] = q->entries[(at - 1) % QUEUE];
  q->entries[at % QUEUE] = (Due){c->fd, c->turn, c->due_ns};
}

// The next chunk into the connection's buffer; its time is the time right before it is sent.
static void next_chunk(Connection *c, uint64_t t) {
  int new = pattern[c->chunk % patterns];
  if (new > c->wanted - c->tokens) new = c->wanted - c->tokens;
  c->tokens += new;
  Request *r = c->request;
  r->sent_ns[r->chunks] = t;
  r->tokens[r->chunks++] = c->tokens;
  c->chunk++;
  chunk_count++;
  token_count += new;
  write_chunk(c, new, c->tokens == c->wanted);
  if (c->tokens == c->wanted) write_end(c), c->streaming = 0, held(-1), done_count++;
}

static void emit(Connection *c) {
  next_chunk(c, now());
  if (flush(c) < 0 || !c->streaming) return;
  c->due_ns += gap_ns;
  uint64_t t = now();
  if (c->due_ns + gap_ns < t) c->due_ns = t;  // it fell behind: it goes on from here, with its true times in the log
  later(1, c);
}

static void answer(Connection *c, const char *type, const Text *body) {
  say(&c->out, "HTTP/1.1 200 OK\r\ncontent-type: %s\r\ncontent-length: %zu\r\n\r\n", type, body->length);
  add(&c->out, body->at, body->length);
  flush(c);
}

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double percentile(const double *sorted, size_t count, double p) {
  return count ? sorted[(size_t)(p * (count - 1) + .5)] : 0;
}

static void stats(Connection *c) {
  double *first_ms = grown(NULL, 8 * (request_count + 1)), *gap_ms = grown(NULL, 8 * (chunk_count + 1)), tpot_ms = 0;
  size_t firsts = 0, gaps = 0, spans = 0;
  for (size_t i = 0; i < request_count; i++) {
    Request *r = requests[i];
    if (r->chunks) first_ms[firsts++] = (r->sent_ns[0] - r->arrived_ns) / 1e6;
    for (int k = 1; k < r->chunks; k++) gap_ms[gaps++] = (r->sent_ns[k] - r->sent_ns[k - 1]) / 1e6;
    if (r->chunks > 1) {
      int last = r->chunks - 1;
      tpot_ms += (r->sent_ns[last] - r->sent_ns[0]) / 1e6 / (r->tokens[last] - r->tokens[0]);
      spans++;
    }
  }
  qsort(first_ms, firsts, 8, compare);
  qsort(gap_ms, gaps, 8, compare);
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  double span = held_to_ns > held_from_ns ? held_to_ns - held_from_ns : 0;
  Text body = {0};
  say(&body, "{\"requests\":%zu,\"done\":%lu,\"chunks\":%lu,\"tokens\":%lu,\"most_active\":%d,\"held\":%.3f,\"held_s\":%.3f,",
      request_count, done_count, chunk_count, token_count, most_active, span ? (held_area_end - held_area) / span : 0, span / 1e9);
  say(&body, "\"ttft_ms\":{\"p50\":%.3f,\"p99\":%.3f},\"gap_ms\":{\"p50\":%.3f,\"p99\":%.3f},\"tpot_ms\":%.6f,\"cpu_s\":%.3f}",
      percentile(first_ms, firsts, .5), percentile(first_ms, firsts, .99), percentile(gap_ms, gaps, .5),
      percentile(gap_ms, gaps, .99), spans ? tpot_ms / spans : 0,
      usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
  answer(c, "application/json", &body);
  free(first_ms), free(gap_ms), free(body.at);
}

static void send_log(Connection *c) {
  Text body = {0};
  for (size_t i = 0; i < request_count; i++) {
    Request *r = requests[i];
    say(&body, "%zu %s %lu", i, r->key, r->arrived_ns);
    for (int k = 0; k < r->chunks; k++) say(&body, " %lu:%d", r->sent_ns[k], r->tokens[k]);
    say(&body, "\n");
  }
  if (!body.at) say(&body, "\n");
  answer(c, "text/plain", &body);
  free(body.at);
}

static void count(Connection *c) {
  Text body = {0};
  say(&body, "{\"requests\":%zu,\"done\":%lu,\"chunks\":%lu}", request_count, done_count, chunk_count);
  answer(c, "application/json", &body);
  free(body.at);
}

static long number(const char *body, const char *key, long without) {
  const char *at = strstr(body, key);
  if (!at) return without;
  at += strlen(key);
  while (*at == ' ' || *at == ':') at++;
  return strtol(at, NULL, 10);
}

static int asks(const char *body, const char *key) {
  const char *at = strstr(body, key);
  if (!at) return 0;
  at += strlen(key);
  while (*at == ' ' || *at == ':') at++;
  return !strncmp(at, "true", 4);
}

static void set_key(char *key, const char *head, const char *body) {
  const char *id = strcasestr(head, "\r\nx-request-id: ");
  if (id) snprintf(key, KEY, "%.*s", (int)strcspn(id + 16, "\r "), id + 16);
  else snprintf(key, KEY, "%ld", number(body, "\"seed\"", -1));
}

static uint64_t first_wait_ns(void) {
  static uint64_t state = 1;
  state = state * 6364136223846793005u + 1442695040888963407u;  // Knuth, MMIX
  return first_ns + (first_spread_ns ? (state >> 20) % first_spread_ns : 0);
}

// Everything at once. The bytes of all chunks are made once: all requests of a flood look alike.
static void pour(Connection *c) {
  static Text all;
  static int wanted, chunks;
  size_t before = c->out.length;
  if (c->wanted == wanted) {
    add(&c->out, all.at, all.length);
    chunk_count += chunks, token_count += wanted, done_count++, c->streaming = 0, held(-1);
  } else {
    while (c->streaming) next_chunk(c, now());
    all.length = 0, wanted = c->wanted, chunks = c->chunk;
    add(&all, c->out.at + before, c->out.length - before);
  }
  c->request->chunks = 0;
  flush(c);
}

static void stream(Connection *c, const char *head, const char *body) {
  uint64_t t = now();
  long wanted = number(body, "\"max_completion_tokens\"", 0);
  c->wanted = wanted ? wanted : number(body, "\"max_tokens\"", 16);
  c->usage = asks(body, "\"include_usage\"");
  c->continuous = asks(body, "\"continuous_usage_stats\"");
  c->ids = asks(body, "\"return_token_ids\"");
  c->tokens = c->chunk = 0;
  c->turn = ++turns;
  c->number = request_count;
  Request *r = c->request = calloc(1, sizeof *r);
  *r = (Request){.arrived_ns = t, .sent_ns = grown(NULL, 8 * c->wanted), .tokens = grown(NULL, sizeof(int) * c->wanted)};
  set_key(r->key, head, body);
  if (request_count == request_room) requests = grown(requests, sizeof *requests * (request_room = 2 * request_room + 64));
  requests[request_count++] = r;
  c->streaming = 1;
  held(1);
  say(&c->out, "HTTP/1.1 200 OK\r\nserver: mock\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n");
  if (!gap_ns) return pour(c);
  c->due_ns = t + first_wait_ns();
  later(0, c);
}

static void request(Connection *c, const char *head, const char *body) {
  Text said = {0};
  if (!strncmp(head, "GET /stats", 10)) return stats(c);
  if (!strncmp(head, "GET /log", 8)) return send_log(c);
  if (!strncmp(head, "GET /count", 10)) return count(c);
  if (!strncmp(head, "POST", 4) && strstr(head, "completions") && asks(body, "\"stream\"")) {
    c->chat = strstr(head, "/chat/") != NULL;
    return stream(c, head, body);
  }
  if (!strncmp(head, "POST", 4))
    say(&said, "{\"id\":\"x\",\"object\":\"text_completion\",\"created\":1,\"model\":\"mock\",\"choices\":[{\"index\":0,\"text\":\" hello\","
               "\"message\":{\"role\":\"assistant\",\"content\":\" hello\"},\"finish_reason\":\"length\"}],"
               "\"usage\":{\"prompt_tokens\":16,\"completion_tokens\":1,\"total_tokens\":17}}");
  else
    say(&said, "{\"object\":\"list\",\"data\":[{\"id\":\"mock\",\"object\":\"model\",\"created\":1,\"owned_by\":\"vllm\",\"root\":\"mock\",\"max_model_len\":131072}]}");
  answer(c, "application/json", &said);
  free(said.at);
}

// Bytes of the body, 0 while it is not whole; a chunked one is read as it stands, which the searches above don't mind.
static size_t body_length(const char *head, const char *body, size_t there, int *whole) {
  const char *length = strcasestr(head, "\r\ncontent-length:");
  if (!length && strcasestr(head, "\r\ntransfer-encoding: chunked")) {
    const char *end = memmem(body, there, "0\r\n\r\n", 5);
    return *whole = end != NULL, end ? end + 5 - body : 0;
  }
  size_t wanted = length ? strtoul(length + 17, NULL, 10) : 0;
  return *whole = there >= wanted, wanted;
}

static void readable(Connection *c) {
  char piece[65536];
  ssize_t got = recv(c->fd, piece, sizeof piece, 0);
  if (got < 0 && errno == EAGAIN) return;
  if (got <= 0) return hang_up(c);
  add(&c->in, piece, got);
  for (char *end; (end = memmem(c->in.at, c->in.length, "\r\n\r\n", 4));) {
    char *body = end + 4;
    size_t there = c->in.length - (body - c->in.at);
    int whole, fd = c->fd;
    *end = 0;
    size_t length = body_length(c->in.at, body, there, &whole);
    if (!whole) {
      *end = '\r';
      return;
    }
    char kept = body[length];
    body[length] = 0;
    request(c, c->in.at, body);
    if (connections[fd] != c) return;
    body[length] = kept;
    memmove(c->in.at, body + length, there - length + 1);
    c->in.length = there - length;
  }
}

static void accept_all(int listener) {
  int one = 1;
  for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
    if (fd >= MAX_FD) abort();
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    Connection *c = connections[fd] = calloc(1, sizeof *c);
    c->fd = fd;
    watch(c, EPOLL_CTL_ADD, 0);
  }
}

static void send_due(void) {
  uint64_t t = now();
  for (int i = 0; i < 2; i++)
    for (Queue *q = &queues[i]; q->head != q->tail && q->entries[q->head % QUEUE].due_ns <= t;) {
      Due due = q->entries[q->head++ % QUEUE];
      Connection *c = connections[due.fd];
      if (c && c->streaming && c->turn == due.turn) emit(c);
    }
}

static struct timespec *until_due(struct timespec *wait) {
  uint64_t t = now(), next = UINT64_MAX;
  for (int i = 0; i < 2; i++) {
    Queue *q = &queues[i];
    if (q->head != q->tail && q->entries[q->head % QUEUE].due_ns < next) next = q->entries[q->head % QUEUE].due_ns;
  }
  if (next == UINT64_MAX) return NULL;
  uint64_t ns = next > t ? next - t : 0;
  *wait = (struct timespec){ns / 1000000000, ns % 1000000000};
  return wait;
}

int main(int count, char **words) {
  if (count != 5) return fprintf(stderr, "usage: mock PORT GAP_US FIRST_US TOKENS\n"), 2;
  gap_ns = strtoull(words[2], NULL, 10) * 1000, first_ns = strtoull(words[3], NULL, 10) * 1000;
  char *until = strchr(words[3], '-');
  if (until) first_spread_ns = strtoull(until + 1, NULL, 10) * 1000 - first_ns;
  for (char *word = strtok(words[4], ","); word && patterns < MAX_PATTERN; word = strtok(NULL, ",")) pattern[patterns++] = atoi(word);
  signal(SIGPIPE, SIG_IGN);
  prctl(PR_SET_TIMERSLACK, 1);
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(words[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (bind(listener, (void *)&address, sizeof address) || listen(listener, 4096)) return perror("mock"), 1;
  epoll = epoll_create1(0);
  Connection ear = {.fd = listener};
  watch(&ear, EPOLL_CTL_ADD, 0);
  area_ns = now();
  struct epoll_event events[MAX_EVENTS];
  for (struct timespec wait;;) {
    int ready = epoll_pwait2(epoll, events, MAX_EVENTS, until_due(&wait), NULL);
    for (int i = 0; i < ready; i++) {
      int fd = events[i].data.fd;
      if (fd == listener) accept_all(listener);
      else if (connections[fd] && (!(events[i].events & EPOLLOUT) || !flush(connections[fd]))
               && events[i].events & ~EPOLLOUT) readable(connections[fd]);
    }
    send_due();
  }
}
