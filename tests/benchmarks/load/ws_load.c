/* A load client: thousands of WebSockets in one thread, which counts frames and measures their latency.
 *
 * Driven by tests/benchmarks/load_client.py through its standard input, one command a line; answers are JSON, one
 * object a line. `ws_load HOST PORT TOKEN_FILE`; the file holds the value of the `Authorization` header.
 *
 *   open COUNT AT_ONCE TAG TARGETS   opens COUNT sockets, AT_ONCE at a time, each with a ticket of its own; TARGETS is
 *                                    a file of paths, one a line, which the sockets take in turn
 *   close COUNT TAG                  closes the oldest COUNT sockets with that TAG
 *   reset                            counts from zero
 *   expect FRAMES                    answers `reached` once so many frames have been counted
 *   report                           answers `report`
 *
 * How it stays out of the way: one buffer for all sockets, no copy and no allocation per frame; a frame costs one jump
 * from its header to the next, and, when its latency counts, reading the digits behind `{"t":` (microseconds of
 * CLOCK_MONOTONIC). Latency is measured from there to the moment at which `recv` has returned the frame.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    READ_SIZE = 256 * 1024,  /* bytes taken from a socket at a time */
    PREFIX = 48,             /* bytes of a frame that are kept until they are complete: header and timestamp */
    ANSWER_SIZE = 2048,      /* bytes of an HTTP answer's head and body */
    EVENTS = 512,
    SUB_BUCKETS = 64,        /* per power of two: latencies are kept to 1.6 % */
    POWERS = 40,
};

enum state { TICKET_CONNECTING, TICKET_ANSWER, WS_CONNECTING, WS_ANSWER, OPEN, CLOSING, GONE };

struct worker;

struct conn {
    int fd;
    enum state state;
    int tag;
    uint8_t prefix_length;     /* bytes in `prefix`: the begin of a frame that has not arrived whole */
    uint8_t opcode;
    uint64_t skip;             /* bytes of the current frame's payload that are still to come */
    uint64_t frames;
    struct worker *worker;     /* while it is being opened */
    unsigned char prefix[PREFIX];
};

/* Opens sockets one after the other: asks for a ticket on a connection that it keeps, then connects with it. */
struct worker {
    struct conn *ticket_conn, *ws_conn;
    char *answer;
    size_t answer_length;
    char ticket[128];
    const char *target;
    uint64_t began;
    bool busy;
};

static struct sockaddr_in server;
static char host_header[64], *authorization;
static int poller;
static unsigned char *buffer;

static struct conn **conns;    /* every WebSocket that was ever opened, oldest first */
static size_t conn_count, conn_room;

static struct worker *workers;
static size_t worker_count;
static uint64_t jobs_left, jobs_running, jobs_failed, jobs_total, jobs_began;
static int job_tag;
static char **targets;
static size_t target_count, next_target;
static char last_failure[256];

static uint64_t frames, bytes, first_at, last_at, expected, closed_by_server;
static unsigned last_close_code;
static uint64_t latency[POWERS * SUB_BUCKETS], latency_count, latency_max, latency_sum;
static uint64_t connect_latency[POWERS * SUB_BUCKETS], connect_count;

static uint64_t now_us(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_nsec / 1000;
}

static void die(const char *what) {
    fprintf(stderr, "ws_load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void *allocate(size_t size) {
    void *memory = calloc(1, size);
    if (memory == NULL) die("out of memory");
    return memory;
}

/* --------------------------------------------------------------------------------------------- histograms */

static size_t bucket_of(uint64_t value) {
    if (value < SUB_BUCKETS) return (size_t)value;
    int power = 63 - __builtin_clzll(value);        /* >= 6 */
    size_t bucket = (size_t)(power - 5) * SUB_BUCKETS + (size_t)((value >> (power - 6)) & (SUB_BUCKETS - 1));
    return bucket < POWERS * SUB_BUCKETS ? bucket : POWERS * SUB_BUCKETS - 1;
}

static uint64_t bucket_end(size_t bucket) {
    if (bucket < SUB_BUCKETS) return bucket;
    int power = (int)(bucket / SUB_BUCKETS) + 5;
    return ((uint64_t)(SUB_BUCKETS + bucket % SUB_BUCKETS + 1) << (power - 6)) - 1;
}

static uint64_t quantile(const uint64_t *histogram, uint64_t count, double share) {
    uint64_t seen = 0, wanted = (uint64_t)(share * (double)count);
    if (wanted >= count) wanted = count ? count - 1 : 0;
    for (size_t bucket = 0; bucket < POWERS * SUB_BUCKETS; bucket++) {
        seen += histogram[bucket];
        if (seen > wanted) return bucket_end(bucket);
    }
    return 0;
}

/* --------------------------------------------------------------------------------------------- answers */

static void report(const char *event) {
    uint64_t least = UINT64_MAX, most = 0, open = 0;
    for (size_t i = 0; i < conn_count; i++) {
        if (conns[i]->state != OPEN) continue;
        open++;
        if (conns[i]->frames < least) least = conns[i]->frames;
        if (conns[i]->frames > most) most = conns[i]->frames;
    }
    printf("{\"event\":\"%s\",\"now_us\":%llu,\"open\":%llu,\"closed_by_server\":%llu,\"close_code\":%u,", event,
           (unsigned long long)now_us(), (unsigned long long)open, (unsigned long long)closed_by_server,
           last_close_code);
    printf("\"frames\":%llu,\"bytes\":%llu,\"first_us\":%llu,\"last_us\":%llu,\"least\":%llu,\"most\":%llu,",
           (unsigned long long)frames, (unsigned long long)bytes, (unsigned long long)first_at,
           (unsigned long long)last_at, (unsigned long long)(open ? least : 0), (unsigned long long)most);
    printf("\"latency\":{\"count\":%llu,\"mean\":%.1f,\"p50\":%llu,\"p90\":%llu,\"p99\":%llu,\"p999\":%llu,\"max\":%llu,"
           "\"buckets\":[", (unsigned long long)latency_count,
           latency_count ? (double)latency_sum / (double)latency_count : 0.0,
           (unsigned long long)quantile(latency, latency_count, 0.5),
           (unsigned long long)quantile(latency, latency_count, 0.9),
           (unsigned long long)quantile(latency, latency_count, 0.99),
           (unsigned long long)quantile(latency, latency_count, 0.999), (unsigned long long)latency_max);
    bool first = true;
    for (size_t bucket = 0; bucket < POWERS * SUB_BUCKETS; bucket++) {
        if (latency[bucket] == 0) continue;
        printf("%s[%llu,%llu]", first ? "" : ",", (unsigned long long)bucket_end(bucket),
               (unsigned long long)latency[bucket]);
        first = false;
    }
    printf("]}}\n");
    fflush(stdout);
}

static void report_opened(void) {
    double seconds = (double)(now_us() - jobs_began) / 1e6;
    printf("{\"event\":\"opened\",\"opened\":%llu,\"failed\":%llu,\"seconds\":%.6f,\"p50\":%llu,\"p99\":%llu,"
           "\"failure\":\"%s\"}\n", (unsigned long long)(jobs_total - jobs_failed), (unsigned long long)jobs_failed,
           seconds, (unsigned long long)quantile(connect_latency, connect_count, 0.5),
           (unsigned long long)quantile(connect_latency, connect_count, 0.99), last_failure);
    fflush(stdout);
}

/* --------------------------------------------------------------------------------------------- frames */

static void drop(struct conn *conn) {
    if (conn->fd >= 0) close(conn->fd);
    conn->fd = -1;
    conn->state = GONE;
}

static void count_latency(const unsigned char *payload, size_t length, uint64_t at) {
    if (length < 6 || memcmp(payload, "{\"t\":", 5) != 0) return;
    uint64_t sent = 0;
    for (size_t i = 5; i < length && payload[i] >= '0' && payload[i] <= '9'; i++) sent = sent * 10 + payload[i] - '0';
    uint64_t taken = at > sent ? at - sent : 0;
    latency[bucket_of(taken)]++;
    latency_count++;
    latency_sum += taken;
    if (taken > latency_max) latency_max = taken;
}

/* The header's length, or 0 when `length` bytes do not hold it whole. Frames of servers are not masked. */
static size_t parse_header(const unsigned char *data, size_t length, uint64_t *payload) {
    if (length < 2) return 0;
    unsigned short_length = data[1] & 0x7f;
    if (short_length < 126) {
        *payload = short_length;
        return 2;
    }
    size_t header = short_length == 126 ? 4 : 10;
    if (length < header) return 0;
    *payload = 0;
    for (size_t i = 2; i < header; i++) *payload = *payload << 8 | data[i];
    return header;
}

static void control_frame(struct conn *conn, unsigned opcode, const unsigned char *payload, size_t length) {
    if (opcode == 8) {
        if (conn->state == OPEN) {
            closed_by_server++;
            last_close_code = length >= 2 ? (unsigned)payload[0] << 8 | payload[1] : 1005;
        }
        drop(conn);
    } else if (opcode == 9 && length <= 125) {
        unsigned char pong[2 + 4 + 125] = {0x8a, (unsigned char)(0x80 | length)};  /* masked with zeros */
        memcpy(pong + 6, payload, length);
        if (send(conn->fd, pong, 6 + length, MSG_NOSIGNAL) < 0 && errno != EAGAIN) drop(conn);
    }
}

/* Takes bytes as they come. Frames are counted when their header and the begin of their payload are there. */
static void take(struct conn *conn, const unsigned char *data, size_t length, uint64_t at) {
    uint64_t counted = 0;
    while (length > 0 && conn->state != GONE) {
        if (conn->skip > 0) {
            uint64_t step = conn->skip < length ? conn->skip : length;
            data += step;
            length -= step;
            conn->skip -= step;
            continue;
        }
        const unsigned char *frame = data;
        size_t available = length;
        size_t kept = conn->prefix_length;
        if (kept > 0) {
            size_t more = PREFIX - kept < length ? PREFIX - kept : length;
            memcpy(conn->prefix + kept, data, more);
            frame = conn->prefix;
            available = kept + more;
        }
        uint64_t payload = 0;
        size_t header = parse_header(frame, available, &payload);
        unsigned opcode = available > 0 ? frame[0] & 0x0f : 0;
        size_t needed = 0;
        if (header > 0) {
            uint64_t room = PREFIX - header;
            bool is_control = opcode >= 8;
            needed = header + (size_t)(payload < room || is_control ? payload : room);
        }
        if (header == 0 || (available < needed && available < PREFIX)) {
            /* Not all of the begin is there. */
            if (kept == 0) memcpy(conn->prefix, data, length);
            conn->prefix_length = (uint8_t)available;
            break;
        }
        if (opcode >= 8) {
            control_frame(conn, opcode, frame + header, available - header < payload ? available - header : payload);
        } else {
            counted++;
            if (opcode == 1) count_latency(frame + header, available - header, at);
        }
        conn->prefix_length = 0;
        uint64_t whole = header + payload - kept;      /* of `data`, which begins `kept` bytes into the frame */
        if (whole > length) {
            conn->skip = whole - length;
            break;
        }
        data += whole;
        length -= whole;
    }
    if (counted > 0 && conn->state == OPEN) {
        conn->frames += counted;
        frames += counted;
        if (first_at == 0) first_at = at;
        last_at = at;
        if (expected > 0 && frames >= expected) {
            expected = 0;
            report("reached");
        }
    }
}

static void read_frames(struct conn *conn) {
    ssize_t got = recv(conn->fd, buffer, READ_SIZE, 0);
    if (got > 0) {
        bytes += (uint64_t)got;
        take(conn, buffer, (size_t)got, now_us());
    } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
        if (conn->state == OPEN) {
            closed_by_server++;
            last_close_code = 1006;
        }
        drop(conn);
    }
}

/* --------------------------------------------------------------------------------------------- opening */

static struct conn *connect_new(struct worker *worker, enum state state) {
    struct conn *conn = allocate(sizeof *conn);
    conn->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (conn->fd < 0) die("socket");
    int on = 1;
    setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    conn->state = state;
    conn->worker = worker;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = conn};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, conn->fd, &event) < 0) die("epoll_ctl");
    if (connect(conn->fd, (struct sockaddr *)&server, sizeof server) < 0 && errno != EINPROGRESS) die("connect");
    return conn;
}

static void only_read(struct conn *conn) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = conn};
    if (epoll_ctl(poller, EPOLL_CTL_MOD, conn->fd, &event) < 0) die("epoll_ctl");
}

static void say(struct conn *conn, const char *text) {
    size_t length = strlen(text);
    if (send(conn->fd, text, length, MSG_NOSIGNAL) != (ssize_t)length) die("sending a request");
}

static void ask_for_ticket(struct worker *worker) {
    char request[4096];
    snprintf(request, sizeof request,
             "GET /kafka-ws/v1/ticket HTTP/1.1\r\nHost: %s\r\nAuthorization: %s\r\n\r\n", host_header, authorization);
    worker->answer_length = 0;
    say(worker->ticket_conn, request);
    worker->ticket_conn->state = TICKET_ANSWER;
}

static void next_job(struct worker *worker) {
    worker->busy = jobs_left > 0;
    if (!worker->busy) {
        if (jobs_running == 0 && jobs_total > 0) {
            report_opened();
            jobs_total = 0;
        }
        return;
    }
    jobs_left--;
    jobs_running++;
    worker->target = targets[next_target++ % target_count];
    worker->began = now_us();
    if (worker->ticket_conn == NULL) {
        worker->ticket_conn = connect_new(worker, TICKET_CONNECTING);
    } else {
        ask_for_ticket(worker);
    }
}

static void job_done(struct worker *worker, const char *failure) {
    jobs_running--;
    if (failure != NULL) {
        jobs_failed++;
        snprintf(last_failure, sizeof last_failure, "%.200s", failure);
        for (char *c = last_failure; *c; c++) if (*c == '"' || *c == '\\' || *c < ' ') *c = ' ';
        if (worker->ws_conn != NULL) {
            drop(worker->ws_conn);
            free(worker->ws_conn);
        }
    } else {
        connect_latency[bucket_of(now_us() - worker->began)]++;
        connect_count++;
        worker->ws_conn->worker = NULL;
        if (conn_count == conn_room) {
            conn_room = conn_room ? 2 * conn_room : 1024;
            conns = realloc(conns, conn_room * sizeof *conns);
            if (conns == NULL) die("out of memory");
        }
        conns[conn_count++] = worker->ws_conn;
    }
    worker->ws_conn = NULL;
    next_job(worker);
}

static void ticket_lost(struct worker *worker, const char *why) {
    drop(worker->ticket_conn);
    free(worker->ticket_conn);
    worker->ticket_conn = NULL;
    if (worker->busy && worker->ws_conn == NULL) job_done(worker, why);
}

static void read_ticket(struct conn *conn) {
    struct worker *worker = conn->worker;
    ssize_t got = recv(conn->fd, worker->answer + worker->answer_length, ANSWER_SIZE - 1 - worker->answer_length, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) {
        ticket_lost(worker, "the connection for tickets was closed");
        return;
    }
    worker->answer_length += (size_t)got;
    worker->answer[worker->answer_length] = 0;
    char *body = strstr(worker->answer, "\r\n\r\n");
    char *length_header = strcasestr(worker->answer, "\r\ncontent-length:");
    if (body == NULL || length_header == NULL) return;
    body += 4;
    if (strlen(body) < strtoul(length_header + 17, NULL, 10)) return;
    char *ticket = strstr(body, "\"ticket\"");
    ticket = ticket ? strchr(ticket + 8, '"') : NULL;
    char *end = ticket ? strchr(ticket + 1, '"') : NULL;
    if (strncmp(worker->answer, "HTTP/1.1 200", 12) != 0 || end == NULL || end - ticket > 100) {
        ticket_lost(worker, worker->answer);
        return;
    }
    snprintf(worker->ticket, sizeof worker->ticket, "%.*s", (int)(end - ticket - 1), ticket + 1);
    conn->state = TICKET_CONNECTING;
    worker->ws_conn = connect_new(worker, WS_CONNECTING);
    worker->ws_conn->tag = job_tag;
}

static void ask_for_upgrade(struct conn *conn) {
    struct worker *worker = conn->worker;
    static char request[128 * 1024];
    snprintf(request, sizeof request,
             "GET %s%cticket=%s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
             worker->target, strchr(worker->target, '?') ? '&' : '?', worker->ticket, host_header);
    worker->answer_length = 0;
    only_read(conn);
    say(conn, request);
    conn->state = WS_ANSWER;
}

static void read_upgrade(struct conn *conn) {
    struct worker *worker = conn->worker;
    ssize_t got = recv(conn->fd, worker->answer + worker->answer_length, ANSWER_SIZE - 1 - worker->answer_length, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) {
        job_done(worker, "closed during the handshake");
        return;
    }
    worker->answer_length += (size_t)got;
    worker->answer[worker->answer_length] = 0;
    char *end = memmem(worker->answer, worker->answer_length, "\r\n\r\n", 4);
    if (end == NULL) return;
    if (strncmp(worker->answer, "HTTP/1.1 101", 12) != 0) {
        job_done(worker, worker->answer);
        return;
    }
    conn->state = OPEN;
    end += 4;
    take(conn, (unsigned char *)end, worker->answer_length - (size_t)(end - worker->answer), now_us());
    job_done(worker, NULL);
}

/* --------------------------------------------------------------------------------------------- commands */

static void command_open(char *arguments) {
    uint64_t count;
    size_t at_once;
    int consumed = 0;
    if (sscanf(arguments, "%lu %zu %d %n", &count, &at_once, &job_tag, &consumed) < 3) die("open: wrong arguments");
    if (jobs_running > 0) die("open: the last one still runs");
    FILE *file = fopen(arguments + consumed, "r");
    if (file == NULL) die(arguments + consumed);
    for (size_t i = 0; i < target_count; i++) free(targets[i]);
    free(targets);
    targets = NULL;
    target_count = next_target = 0;
    char *line = NULL;
    size_t size = 0;
    ssize_t length;
    while ((length = getline(&line, &size, file)) > 0) {
        if (line[length - 1] == '\n') line[--length] = 0;
        targets = realloc(targets, (target_count + 1) * sizeof *targets);
        targets[target_count++] = strdup(line);
    }
    free(line);
    fclose(file);
    if (target_count == 0) die("open: no targets");
    if (at_once > worker_count) {
        struct worker *grown = allocate(at_once * sizeof *grown);
        memcpy(grown, workers, worker_count * sizeof *grown);
        for (size_t i = 0; i < at_once; i++) {
            if (grown[i].answer == NULL) grown[i].answer = allocate(ANSWER_SIZE);
            if (grown[i].ticket_conn != NULL) grown[i].ticket_conn->worker = &grown[i];
        }
        free(workers);
        workers = grown;
        worker_count = at_once;
    }
    jobs_left = jobs_total = count;
    jobs_failed = connect_count = 0;
    last_failure[0] = 0;
    memset(connect_latency, 0, sizeof connect_latency);
    jobs_began = now_us();
    for (size_t i = 0; i < at_once && jobs_left > 0; i++) next_job(&workers[i]);
}

static void command_close(size_t count, int tag) {
    static const unsigned char close_frame[] = {0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8};  /* 1000 */
    size_t kept = 0;
    for (size_t i = 0; i < conn_count; i++) {
        struct conn *conn = conns[i];
        if (conn->state == GONE) {
            free(conn);
            continue;
        }
        if (count > 0 && conn->state == OPEN && conn->tag == tag) {
            count--;
            conn->state = CLOSING;
            if (send(conn->fd, close_frame, sizeof close_frame, MSG_NOSIGNAL) < 0) drop(conn);
        }
        conns[kept++] = conn;
    }
    conn_count = kept;
}

static void command_reset(void) {
    frames = bytes = first_at = last_at = closed_by_server = expected = 0;
    latency_count = latency_max = latency_sum = 0;
    memset(latency, 0, sizeof latency);
    for (size_t i = 0; i < conn_count; i++) conns[i]->frames = 0;
}

static void execute(char *line) {
    size_t count;
    int tag;
    if (strncmp(line, "open ", 5) == 0) command_open(line + 5);
    else if (sscanf(line, "close %zu %d", &count, &tag) == 2) command_close(count, tag);
    else if (strcmp(line, "reset") == 0) command_reset();
    else if (strncmp(line, "expect ", 7) == 0) {
        expected = strtoull(line + 7, NULL, 10);
        if (frames >= expected) {
            expected = 0;
            report("reached");
        }
    } else if (strcmp(line, "report") == 0) report("report");
    else die(line);
}

static void read_commands(void) {
    static char input[64 * 1024];
    static size_t length;
    ssize_t got = read(STDIN_FILENO, input + length, sizeof input - 1 - length);
    if (got <= 0) exit(0);
    length += (size_t)got;
    input[length] = 0;
    char *line = input, *end;
    while ((end = strchr(line, '\n')) != NULL) {
        *end = 0;
        execute(line);
        line = end + 1;
    }
    length -= (size_t)(line - input);
    memmove(input, line, length);
}

static void ready(struct conn *conn, unsigned events) {
    if (conn->state == OPEN || conn->state == CLOSING) {
        read_frames(conn);
        return;
    }
    if (conn->state == GONE) return;
    bool is_ticket = conn->state == TICKET_CONNECTING || conn->state == TICKET_ANSWER;
    if (events & (EPOLLERR | EPOLLHUP)) {
        if (is_ticket) ticket_lost(conn->worker, "refused");
        else job_done(conn->worker, "refused");
        return;
    }
    if (conn->state == TICKET_CONNECTING && conn->worker->busy && conn->worker->ws_conn == NULL) {
        only_read(conn);
        ask_for_ticket(conn->worker);
    } else if (conn->state == TICKET_ANSWER) {
        read_ticket(conn);
    } else if (conn->state == WS_CONNECTING) {
        ask_for_upgrade(conn);
    } else if (conn->state == WS_ANSWER) {
        read_upgrade(conn);
    } else if (events & EPOLLIN) {
        /* A kept connection for tickets says something unasked: it ends. */
        ticket_lost(conn->worker, "closed");
    }
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: ws_load HOST PORT TOKEN_FILE\n");
        return 2;
    }
    server.sin_family = AF_INET;
    server.sin_port = htons((uint16_t)atoi(argv[2]));
    if (inet_pton(AF_INET, argv[1], &server.sin_addr) != 1) die("HOST must be an IPv4 address");
    snprintf(host_header, sizeof host_header, "%s:%s", argv[1], argv[2]);
    FILE *file = fopen(argv[3], "r");
    size_t size = 0;
    if (file == NULL || getline(&authorization, &size, file) < 1) die(argv[3]);
    authorization[strcspn(authorization, "\r\n")] = 0;
    fclose(file);

    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);

    buffer = allocate(READ_SIZE);
    poller = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (poller < 0 || epoll_ctl(poller, EPOLL_CTL_ADD, STDIN_FILENO, &event) < 0) die("epoll");
    static struct epoll_event events[EVENTS];
    for (;;) {
        int count = epoll_wait(poller, events, EVENTS, -1);
        if (count < 0 && errno != EINTR) die("epoll_wait");
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr != NULL) ready(events[i].data.ptr, events[i].events);
        }
        /* Last, so that no connection is freed while one of these events still names it. */
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr == NULL) read_commands();
        }
    }
}
