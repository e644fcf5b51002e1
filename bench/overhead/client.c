/* client PORT TARGET BODY_FILE CONNECTIONS SECONDS REQUESTS RAMP_MS: so many agents, each asking again when it has its answer.

   Each connection is an agent with a session of its own. No request begins after SECONDS, or after REQUESTS of them; the
   connections begin one after the other over RAMP_MS. Prints one line of JSON: how long the answers took (microseconds),
   when their first byte came, and how old the chunks of streams were when they arrived, by the stamps of the provider. */

#include "wire.h"

#define PATIENCE_NS (60 * 1000 * MS)
#define MOST_ERRORS 100
#define KEY "sk-5f0c1e9ab37d4c62a8e41b9077d3f2650c9de81f4a7b3e52" /* no real one */
#define REQUEST_HEAD                                                                                                   \
    "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAccept: application/json\r\nContent-Type: application/json\r\n"         \
    "User-Agent: claude-cli/2.1.330 (external, cli)\r\nX-Claude-Code-Session-Id: %08d-0000-4000-8000-%012d\r\n"        \
    "X-Stainless-Lang: js\r\nX-Stainless-Package-Version: 0.70.0\r\nX-Stainless-OS: Linux\r\n"                         \
    "X-Stainless-Arch: x64\r\nX-Stainless-Runtime: node\r\nX-Stainless-Runtime-Version: v24.3.0\r\n"                   \
    "X-Stainless-Retry-Count: 0\r\nX-Stainless-Timeout: 600\r\nanthropic-dangerous-direct-browser-access: true\r\n"    \
    "anthropic-version: 2023-06-01\r\nAuthorization: Bearer " KEY "\r\nx-app: cli\r\nContent-Length: %zu\r\n\r\n"

enum state { IDLE, HEAD, LENGTH, CHUNK_SIZE, CHUNK, CHUNK_END, TRAILER };

struct connection {
    int fd, is_blocked, status, has_body, stamp_digits;
    enum state state;
    char request_head[1200];
    size_t request_head_bytes, sent;
    struct head head;
    long long began_ns, left, stamp;
};

struct samples {
    long long *ns;
    size_t count, room;
};

static int epoll, port, live, is_over;
static char *body;
static size_t body_bytes;
static long long end_ns, requests_left, errors, refused, bytes;
static struct samples whole, first_byte, chunk;
static char received[1 << 18];

static void note(struct samples *samples, long long ns) {
    if (samples->count == samples->room) {
        samples->room = samples->room ? samples->room * 2 : 4096;
        samples->ns = realloc(samples->ns, samples->room * sizeof *samples->ns);
    }
    samples->ns[samples->count++] = ns;
}

static void send_on(struct connection *c) {
    size_t head = c->request_head_bytes, all = head + body_bytes;
    while (c->sent < all) {
        size_t of_head = c->sent < head ? head - c->sent : 0, of_body = c->sent > head ? c->sent - head : 0;
        struct iovec pieces[] = {{c->request_head + head - of_head, of_head}, {body + of_body, body_bytes - of_body}};
        struct msghdr message = {.msg_iov = pieces, .msg_iovlen = 2};
        ssize_t sent = sendmsg(c->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno == EAGAIN && !c->is_blocked) watch(epoll, EPOLL_CTL_MOD, c->fd, EPOLLIN | EPOLLOUT, c);
            c->is_blocked = 1;
            return; /* a peer that is gone is noticed by reading */
        }
        c->sent += sent;
    }
    if (c->is_blocked) watch(epoll, EPOLL_CTL_MOD, c->fd, EPOLLIN, c);
    c->is_blocked = 0;
}

static void begin(struct connection *c) {
    c->state = IDLE;
    if (is_over || requests_left == 0 || now_ns() >= end_ns) {
        live--;
        return;
    }
    requests_left--;
    c->state = HEAD;
    c->head.length = c->sent = c->has_body = c->stamp_digits = 0;
    c->began_ns = now_ns();
    send_on(c);
}

static void connect_to_proxy(struct connection *c) {
    struct sockaddr_in address = loopback(port);
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(c->fd, (void *)&address, sizeof address)) die("connect");
    be_prompt(c->fd);
    c->is_blocked = 0;
    watch(epoll, EPOLL_CTL_ADD, c->fd, EPOLLIN, c);
}

static void fail(struct connection *c) {
    is_over |= ++errors >= MOST_ERRORS;
    close(c->fd);
    if (!is_over) connect_to_proxy(c);
    begin(c);
}

/* Stamps are looked for across all pieces in which a body comes. */
static void read_stamps(struct connection *c, const char *data, size_t count, long long now) {
    const char *end = data + count;
    while (data < end) {
        if (c->stamp_digits == 0) {
            data = memchr(data, STAMP_MARK, end - data);
            if (!data) return;
            data++;
            c->stamp = 0;
            c->stamp_digits = STAMP_DIGITS;
        }
        for (; c->stamp_digits && data < end; c->stamp_digits--) c->stamp = c->stamp * 10 + (*data++ - '0');
        if (c->stamp_digits == 0) note(&chunk, now - c->stamp);
    }
}

static void begin_body(struct connection *c) {
    c->status = atoi(c->head.text + strlen("HTTP/1.1 "));
    if (strcasestr(c->head.text, "\r\ntransfer-encoding: chunked")) {
        c->state = CHUNK_SIZE;
        c->left = 0;
        return;
    }
    c->state = LENGTH;
    c->left = number_after(c->head.text, "\r\ncontent-length:", -1);
    if (c->left < 0) {
        fprintf(stderr, "an answer without a length:\n%s", c->head.text);
        exit(1);
    }
}

static size_t take_body(struct connection *c, const char *data, size_t count, long long now) {
    size_t take = (long long)count < c->left ? count : (size_t)c->left;
    if (take && !c->has_body) note(&first_byte, now - c->began_ns);
    c->has_body |= take > 0;
    bytes += take;
    read_stamps(c, data, take, now);
    c->left -= take;
    return take;
}

static int hex_digit(char byte) {
    if (byte >= '0' && byte <= '9') return byte - '0';
    byte |= 0x20;
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/* One byte of what stands between chunks. Returns 1 when it was the last one of the answer. */
static int between_chunks(struct connection *c, char byte) {
    int digit = hex_digit(byte);
    if (c->state == CHUNK_SIZE && digit >= 0) c->left = c->left * 16 + digit;
    if (c->state == TRAILER && byte != '\r' && byte != '\n') c->left = 1; /* the line is not the empty one */
    if (byte != '\n') return 0;
    if (c->state == TRAILER && c->left == 0) return 1;
    if (c->state == CHUNK_SIZE) {
        c->state = c->left ? CHUNK : TRAILER;
    } else {
        if (c->state == CHUNK_END) c->state = CHUNK_SIZE;
        c->left = 0;
    }
    return 0;
}

/* Returns 1 when the answer has come to its end. */
static int feed(struct connection *c, const char *data, size_t count, long long now) {
    for (int is_whole; count;) {
        size_t taken = 1;
        switch (c->state) {
        case HEAD:
            taken = feed_head(&c->head, data, count, &is_whole);
            if (is_whole) begin_body(c);
            if (is_whole && c->state == LENGTH && c->left == 0) return 1;
            break;
        case LENGTH:
            taken = take_body(c, data, count, now);
            if (c->left == 0) return 1;
            break;
        case CHUNK:
            taken = take_body(c, data, count, now);
            if (c->left == 0) c->state = CHUNK_END;
            break;
        default:
            if (between_chunks(c, *data)) return 1;
        }
        data += taken;
        count -= taken;
    }
    return 0;
}

static void read_on(struct connection *c) {
    ssize_t count = recv(c->fd, received, sizeof received, MSG_DONTWAIT);
    if (count < 0 && errno == EAGAIN) return;
    if (count <= 0) {
        fail(c);
        return;
    }
    long long now = now_ns();
    if (!feed(c, received, count, now)) return;
    note(&whole, now - c->began_ns);
    refused += c->status != 200;
    begin(c);
}

static int by_size(const void *a, const void *b) {
    long long x = *(const long long *)a, y = *(const long long *)b;
    return (x > y) - (x < y);
}

static void print_samples(const char *name, struct samples *samples) {
    qsort(samples->ns, samples->count, sizeof *samples->ns, by_size);
    for (int percent = 50; percent <= 99; percent += 49) {
        double us = samples->count ? samples->ns[(samples->count - 1) * percent / 100] / 1e3 : 0;
        printf("\"%s_p%d_us\": %.1f, ", name, percent, us);
    }
}

static void load_body(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END)) die(path);
    body_bytes = ftell(file);
    rewind(file);
    body = malloc(body_bytes + 1);
    if (fread(body, 1, body_bytes, file) != body_bytes) die(path);
    fclose(file);
}

static void open_connection(struct connection *c, const char *target, int number) {
    int agent = getpid();
    c->request_head_bytes =
        snprintf(c->request_head, sizeof c->request_head, REQUEST_HEAD, target, port, agent, number, body_bytes);
    connect_to_proxy(c);
    begin(c);
}

int main(int count, char **words) {
    if (count != 8) {
        fprintf(stderr, "client PORT TARGET BODY_FILE CONNECTIONS SECONDS REQUESTS RAMP_MS\n");
        return 2;
    }
    int connections = atoi(words[4]), opened = 0;
    long long ramp_ns = atoll(words[7]) * MS, start_ns = now_ns();
    port = atoi(words[1]);
    load_body(words[3]);
    end_ns = start_ns + (long long)(atof(words[5]) * 1e9);
    requests_left = atoll(words[6]);
    live = connections;
    allow_many_sockets();
    epoll = epoll_create1(0);
    struct connection *all = calloc(connections, sizeof *all);
    struct epoll_event events[256];
    while (live) {
        for (; opened < connections && now_ns() >= start_ns + ramp_ns * opened / connections; opened++)
            open_connection(&all[opened], words[2], opened);
        int ready = epoll_wait(epoll, events, 256, opened < connections ? 1 : 1000);
        for (int i = 0; i < ready; i++) {
            struct connection *c = events[i].data.ptr;
            if (events[i].events & EPOLLOUT && c->state != IDLE) send_on(c);
            if (events[i].events & ~EPOLLOUT && c->state != IDLE) read_on(c);
        }
        if (now_ns() > end_ns + PATIENCE_NS) {
            errors += live;
            break;
        }
    }
    printf("{\"requests\": %zu, \"seconds\": %.3f, ", whole.count, (now_ns() - start_ns) / 1e9);
    print_samples("answer", &whole);
    print_samples("first_byte", &first_byte);
    print_samples("chunk", &chunk);
    printf("\"chunks\": %zu, \"bytes\": %lld, \"errors\": %lld, \"refused\": %lld}\n", chunk.count, bytes, errors, refused);
}
