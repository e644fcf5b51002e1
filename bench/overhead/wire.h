/* What provider and client share: a clock, heads of HTTP messages, sockets that do not wait. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define HEAD_BYTES 16384
#define MS 1000000LL
#define STAMP_MARK '@'
#define STAMP_DIGITS 19

/* CLOCK_MONOTONIC is one clock for all processes, so a time that one of them writes down means something to the other. */
static inline long long now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static inline void die(const char *what) {
    perror(what);
    exit(1);
}

/* A message's head, which may come in pieces. */
struct head {
    char text[HEAD_BYTES + 1];
    size_t length;
};

/* Take from `data` what belongs to the head. Returns how much that was; *is_whole once the empty line has been there. */
static inline size_t feed_head(struct head *head, const char *data, size_t count, int *is_whole) {
    size_t seen = head->length > 3 ? head->length - 3 : 0, before = head->length;
    size_t take = count < HEAD_BYTES - before ? count : HEAD_BYTES - before;
    memcpy(head->text + before, data, take);
    head->length += take;
    char *end = memmem(head->text + seen, head->length - seen, "\r\n\r\n", 4);
    *is_whole = end != NULL;
    if (end) head->length = end + 4 - head->text;
    else if (head->length == HEAD_BYTES) die("a head is too long");
    head->text[head->length] = 0;
    return head->length - before;
}

/* The number behind `name` ("\r\ncontent-length: ", "bytes="), or `otherwise`. */
static inline long long number_after(const char *text, const char *name, long long otherwise) {
    const char *found = strcasestr(text, name);
    return found ? atoll(found + strlen(name)) : otherwise;
}

static inline void be_prompt(int fd) {
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

static inline void watch(int epoll, int operation, int fd, unsigned events, void *whose) {
    struct epoll_event event = {.events = events, .data.ptr = whose};
    if (epoll_ctl(epoll, operation, fd, &event)) die("epoll_ctl");
}

static inline struct sockaddr_in loopback(int port) {
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static inline void allow_many_sockets(void) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}
