/* A WebSocket server that does nothing but send: what `ws_load` can take at most is measured against it.
 *
 * `ws_blast SOCKETS FRAME_BYTES CHUNK_BYTES TOTAL_FRAMES` listens on a free port of 127.0.0.1 and prints it. It gives
 * everybody a ticket and a `101`; when SOCKETS are open it writes the same prepared frames, CHUNK_BYTES at a time, to
 * one socket after the other until each has been sent TOTAL_FRAMES, and ends when the clients have gone.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 512 };

struct conn {
    int fd;
    int is_open;
    uint64_t sent;
};

static void die(const char *what) {
    fprintf(stderr, "ws_blast: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void answer(struct conn *conn, int *opened) {
    static char request[256 * 1024];
    ssize_t got = recv(conn->fd, request, sizeof request - 1, 0);
    if (got <= 0) {
        close(conn->fd);
        conn->fd = -1;
        return;
    }
    request[got] = 0;
    if (conn->is_open) return;
    const char *text = "HTTP/1.1 200 OK\r\nContent-Length: 75\r\n\r\n"
        "{\"ticket\":\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"}";
    if (strcasestr(request, "upgrade: websocket") != NULL) {
        text = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
        conn->is_open = 1;
        (*opened)++;
    }
    if (send(conn->fd, text, strlen(text), MSG_NOSIGNAL) < 0) die("send");
}

int main(int argc, char **argv) {
    if (argc != 5) {
        fprintf(stderr, "usage: ws_blast SOCKETS FRAME_BYTES CHUNK_BYTES TOTAL_FRAMES\n");
        return 2;
    }
    int sockets = atoi(argv[1]);
    size_t frame_size = strtoul(argv[2], NULL, 10), chunk_size = strtoul(argv[3], NULL, 10);
    uint64_t total = strtoull(argv[4], NULL, 10) * frame_size;
    if (frame_size < 16 || frame_size > 127 + 4 + 60000) die("FRAME_BYTES must be 16 or more");
    /* Two copies, so that any place of the first can begin a write of one chunk. */
    size_t per_chunk = chunk_size / frame_size ? chunk_size / frame_size : 1;
    chunk_size = per_chunk * frame_size;
    unsigned char *data = malloc(2 * chunk_size);
    if (data == NULL) die("out of memory");
    for (size_t i = 0; i < 2 * per_chunk; i++) {
        unsigned char *frame = data + i * frame_size;
        size_t header = frame_size - 2 < 126 ? 2 : 4, payload = frame_size - header;
        memset(frame, ' ', frame_size);
        frame[0] = 0x81;
        frame[1] = header == 2 ? (unsigned char)payload : 126;
        if (header == 4) {
            frame[2] = (unsigned char)(payload >> 8);
            frame[3] = (unsigned char)payload;
        }
        memcpy(frame + header, "{\"t\":1}", 7);
    }

    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t address_length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 4096) < 0 ||
        getsockname(listener, (struct sockaddr *)&address, &address_length) < 0) die("listen");
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);

    struct conn *conns = calloc((size_t)limit.rlim_max, sizeof *conns);
    if (conns == NULL) die("out of memory");
    int count = 0, opened = 0, poller = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (poller < 0 || epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event) < 0) die("epoll");
    static struct epoll_event events[EVENTS];
    while (opened < sockets) {
        int ready = epoll_wait(poller, events, EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            if (events[i].data.ptr != NULL) {
                answer(events[i].data.ptr, &opened);
                continue;
            }
            int fd, on = 1;
            while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                conns[count].fd = fd;
                event.data.ptr = &conns[count++];
                if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) < 0) die("epoll_ctl");
            }
        }
    }
    for (int i = 0; i < count; i++) {
        event = (struct epoll_event){.events = EPOLLOUT | EPOLLET, .data.ptr = &conns[i]};
        if (conns[i].is_open && epoll_ctl(poller, EPOLL_CTL_MOD, conns[i].fd, &event) < 0) die("epoll_ctl");
    }
    for (int done = 0; done < sockets;) {
        done = 0;
        int blocked = 1;
        for (int i = 0; i < count; i++) {
            struct conn *conn = &conns[i];
            if (!conn->is_open) continue;
            if (conn->sent >= total) {
                done++;
                continue;
            }
            size_t length = total - conn->sent < chunk_size ? (size_t)(total - conn->sent) : chunk_size;
            ssize_t sent = send(conn->fd, data + conn->sent % chunk_size, length, MSG_NOSIGNAL);
            if (sent > 0) {
                conn->sent += (uint64_t)sent;
                blocked = 0;
            } else if (errno != EAGAIN) {
                return 0;
            }
        }
        if (blocked && done < sockets) epoll_wait(poller, events, EVENTS, 10);
    }
    char byte;
    for (int i = 0; i < count; i++) {
        if (conns[i].is_open && fcntl(conns[i].fd, F_SETFL, 0) == 0) while (recv(conns[i].fd, &byte, 1, 0) > 0) {}
    }
    return 0;
}
