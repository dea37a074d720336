/* A wall clock that a test sets: preloaded into a program, it bends the time of CLOCK_REALTIME and the times of captured
   frames alike, and leaves the clocks that measure time alone. $ZONEWATCH_CLOCK names a file of three 64-bit numbers: a
   true time and the one that is shown then, in nanoseconds, and how many times faster it passes. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>

#define SECOND 1000000000LL

static const volatile int64_t *numbers(void) {
    static const volatile int64_t *mapped;
    if (!mapped) {
        const char *name = getenv("ZONEWATCH_CLOCK");
        int file = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
        void *at = file < 0 ? MAP_FAILED : mmap(0, 24, PROT_READ, MAP_SHARED, file, 0);
        if (at == MAP_FAILED) abort();
        mapped = at;
    }
    return mapped;
}

static int64_t shown(int64_t real) {
    const volatile int64_t *clock = numbers();
    return clock[1] + (real - clock[0]) * clock[2];
}

int clock_gettime(clockid_t which, struct timespec *to) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(which, to);
    if (result == 0 && which == CLOCK_REALTIME) {
        int64_t now = shown(to->tv_sec * SECOND + to->tv_nsec);
        to->tv_sec = now / SECOND;
        to->tv_nsec = now % SECOND;
    }
    return result;
}

/* As pcap/pcap.h has it. At nanosecond precision tv_usec holds nanoseconds. */
struct header {
    struct timeval ts;
    uint32_t caplen, len;
};
typedef void (*handler)(unsigned char *, const struct header *, const unsigned char *);
struct call {
    handler handler;
    unsigned char *user;
};

static void frame(unsigned char *user, const struct header *header, const unsigned char *bytes) {
    struct call *call = (struct call *)user;
    struct header bent = *header;
    int64_t at = shown(header->ts.tv_sec * SECOND + header->ts.tv_usec);
    bent.ts.tv_sec = at / SECOND;
    bent.ts.tv_usec = at % SECOND;
    call->handler(call->user, &bent, bytes);
}

int pcap_dispatch(void *capture, int count, handler to, unsigned char *user) {
    static int (*real)(void *, int, handler, unsigned char *);
    if (!real) real = (int (*)(void *, int, handler, unsigned char *))dlsym(RTLD_NEXT, "pcap_dispatch");
    struct call call = {to, user};
    return real(capture, count, frame, (unsigned char *)&call);
}
