/* provider: answers like Anthropic's Messages API, and does next to nothing for it. Prints the port it listens on.

   POST /any/path?bytes=N            a JSON message with N bytes of text (1500 unless told)
   POST /any/path?chunks=N&every_ms=T  an event stream of N deltas, T ms apart (0: at once), each with the time it was sent

   One thread. Request bodies are dropped in the kernel, answers are made once. A request needs a Content-Length. */

#include "wire.h"
#include <sys/queue.h>

#define JSON_HEAD "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nrequest-id: req_1\r\nContent-Length: %zu\r\n\r\n"
#define JSON_START                                                                                                     \
    "{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude-sonnet-4-5\","                   \
    "\"content\":[{\"type\":\"text\",\"text\":\""
#define JSON_END                                                                                                       \
    "\"}],\"stop_reason\":\"end_turn\",\"stop_sequence\":null,\"usage\":{\"input_tokens\":1000,"                       \
    "\"cache_read_input_tokens\":0,\"cache_creation_input_tokens\":0,\"output_tokens\":120}}"
#define STREAM_HEAD                                                                                                    \
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-cache\r\n"                 \
    "Transfer-Encoding: chunked\r\nrequest-id: req_1\r\n\r\n"
#define STREAM_START                                                                                                   \
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\","      \
    "\"role\":\"assistant\",\"model\":\"claude-sonnet-4-5\",\"content\":[],\"stop_reason\":null,"                      \
    "\"stop_sequence\":null,\"usage\":{\"input_tokens\":1000,\"output_tokens\":1}}}\n\n"                               \
    "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,"                                 \
    "\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n"
#define DELTA                                                                                                          \
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,"                                 \
    "\"delta\":{\"type\":\"text_delta\",\"text\":\"%c%0*lld some token text\"}}\n\n"
#define STREAM_END                                                                                                     \
    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n"                               \
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\","                 \
    "\"stop_sequence\":null},\"usage\":{\"output_tokens\":120}}\n\n"                                                   \
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"

struct answer {
    size_t text_bytes, length;
    char *bytes;
    struct answer *next;
};

struct connection {
    int fd, is_blocked, is_streaming, is_paced;
    struct head head;
    size_t body_left;
    const char *out; /* what is being sent: an answer, or `piece` */
    size_t out_left;
    long long chunks_left, every_ns, due_ns;
    char piece[2048];
    TAILQ_ENTRY(connection) queue;
};

static int epoll;
static TAILQ_HEAD(paced, connection) paced = TAILQ_HEAD_INITIALIZER(paced); /* by the time of their next chunk */
static char received[1 << 18];

static const struct answer *plain_answer(size_t text_bytes) {
    static struct answer *made = NULL;
    for (struct answer *one = made; one; one = one->next)
        if (one->text_bytes == text_bytes) return one;
    struct answer *one = malloc(sizeof *one);
    size_t body = strlen(JSON_START) + text_bytes + strlen(JSON_END);
    one->bytes = malloc(body + 512);
    char *at = one->bytes + sprintf(one->bytes, JSON_HEAD, body);
    at = stpcpy(at, JSON_START);
    for (size_t i = 0; i < text_bytes; i++) *at++ = "the quick brown fox "[i % 20];
    at = stpcpy(at, JSON_END);
    one->text_bytes = text_bytes;
    one->length = at - one->bytes;
    one->next = made;
    return made = one;
}

static void set_piece(struct connection *c, const char *before, const char *text, const char *after) {
    c->out = c->piece;
    c->out_left = snprintf(c->piece, sizeof c->piece, "%s%zx\r\n%s\r\n%s", before, strlen(text), text, after);
}

/* Longest waiting first. All streams of a run have one pace, so the place is at the end or next to it. */
static void wait_for_due(struct connection *c) {
    struct connection *before = TAILQ_LAST(&paced, paced);
    while (before && before->due_ns > c->due_ns) before = TAILQ_PREV(before, paced, queue);
    if (before) TAILQ_INSERT_AFTER(&paced, before, c, queue);
    else TAILQ_INSERT_HEAD(&paced, c, queue);
    c->is_paced = 1;
}

/* Make the stream's next piece, if its time has come. */
static void next_piece(struct connection *c) {
    if (c->chunks_left == 0) {
        c->is_streaming = 0;
        set_piece(c, "", STREAM_END, "0\r\n\r\n");
        return;
    }
    long long now = now_ns();
    if (now < c->due_ns) {
        wait_for_due(c);
        return;
    }
    char text[256];
    snprintf(text, sizeof text, DELTA, STAMP_MARK, STAMP_DIGITS, now);
    set_piece(c, "", text, "");
    c->chunks_left--;
    c->due_ns += c->every_ns;
}

/* Send until all is sent, the next chunk is not due yet, or the socket takes no more. Returns 0 when the peer is gone. */
static int send_on(struct connection *c) {
    for (;;) {
        if (c->out_left == 0) {
            if (c->is_streaming) next_piece(c);
            if (c->out_left == 0) break;
        }
        ssize_t sent = send(c->fd, c->out, c->out_left, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno != EAGAIN) return 0;
        if (sent < 0) {
            if (!c->is_blocked) watch(epoll, EPOLL_CTL_MOD, c->fd, EPOLLIN | EPOLLOUT, c);
            c->is_blocked = 1;
            return 1;
        }
        c->out += sent;
        c->out_left -= sent;
    }
    if (c->is_blocked) watch(epoll, EPOLL_CTL_MOD, c->fd, EPOLLIN, c);
    c->is_blocked = 0;
    return 1;
}

static int respond(struct connection *c) {
    c->head.text[strcspn(c->head.text, "\r")] = 0; /* the request line tells what is wanted */
    c->chunks_left = number_after(c->head.text, "chunks=", -1);
    if (c->chunks_left < 0) {
        const struct answer *answer = plain_answer(number_after(c->head.text, "bytes=", 1500));
        c->out = answer->bytes;
        c->out_left = answer->length;
    } else {
        c->is_streaming = 1;
        c->every_ns = number_after(c->head.text, "every_ms=", 0) * MS;
        c->due_ns = now_ns() + c->every_ns;
        set_piece(c, STREAM_HEAD, STREAM_START, "");
    }
    c->head.length = 0;
    return send_on(c);
}

/* Read what is there. Returns 0 when the peer is gone or says something that is not understood. */
static int read_on(struct connection *c) {
    int is_body = c->body_left > 0, is_whole = is_body;
    size_t most = is_body ? c->body_left : sizeof received;
    /* MSG_TRUNC: the kernel drops the bytes of a body without copying them. */
    ssize_t count = recv(c->fd, received, most, MSG_DONTWAIT | (is_body ? MSG_TRUNC : 0));
    if (count < 0 && errno == EAGAIN) return 1;
    if (count <= 0) return 0;
    size_t taken = 0;
    if (!is_body) {
        taken = feed_head(&c->head, received, count, &is_whole);
        if (!is_whole) return 1;
        long long length = number_after(c->head.text, "\r\ncontent-length:", -1);
        if (length < 0) return 0;
        c->body_left = length;
    }
    if ((size_t)count - taken > c->body_left) return 0;
    c->body_left -= count - taken;
    return c->body_left ? 1 : respond(c);
}

static void drop(struct connection *c) {
    if (c->is_paced) TAILQ_REMOVE(&paced, c, queue);
    close(c->fd);
    free(c);
}

static void accept_all(int listener) {
    for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
        struct connection *c = calloc(1, sizeof *c);
        c->fd = fd;
        be_prompt(fd);
        watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN, c);
    }
}

static void send_what_is_due(void) {
    long long now = now_ns();
    for (struct connection *c; (c = TAILQ_FIRST(&paced)) && c->due_ns <= now;) {
        TAILQ_REMOVE(&paced, c, queue);
        c->is_paced = 0;
        if (!send_on(c)) drop(c);
    }
}

static int ms_to_next(void) {
    struct connection *first = TAILQ_FIRST(&paced);
    if (!first) return -1;
    long long left = first->due_ns - now_ns();
    return left <= 0 ? 0 : (left + MS - 1) / MS;
}

static int listen_somewhere(void) {
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in address = loopback(0);
    socklen_t size = sizeof address;
    if (bind(listener, (void *)&address, size) || listen(listener, 4096)) die("listen");
    getsockname(listener, (void *)&address, &size);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return listener;
}

int main(void) {
    allow_many_sockets();
    epoll = epoll_create1(0);
    int listener = listen_somewhere();
    watch(epoll, EPOLL_CTL_ADD, listener, EPOLLIN, NULL);
    for (struct epoll_event events[256];;) {
        int count = epoll_wait(epoll, events, 256, ms_to_next());
        for (int i = 0; i < count; i++) {
            struct connection *c = events[i].data.ptr;
            if (!c) {
                accept_all(listener);
                continue;
            }
            int is_there = !(events[i].events & EPOLLOUT) || send_on(c);
            if (!is_there || (events[i].events & ~EPOLLOUT && !read_on(c))) drop(c);
        }
        send_what_is_due();
    }
}
