/* Counts fsync and fdatasync of the process it is preloaded into, and makes them fail with EIO
 * while the file $GREENROOM_FSYNC_FAIL exists. The count is a 64-bit number at the beginning of
 * the file $GREENROOM_FSYNC_COUNT, shared by every process that has it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static uint64_t *count;
static const char *fail;

__attribute__((constructor)) static void start(void) {
    real_fsync = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    fail = getenv("GREENROOM_FSYNC_FAIL");
    const char *path = getenv("GREENROOM_FSYNC_COUNT");
    int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (file >= 0) {
        void *page = mmap(NULL, sizeof *count, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        if (page != MAP_FAILED)
            count = page;
        close(file);
    }
}

static int counted(int (*real)(int), int file) {
    if (count)
        __atomic_fetch_add(count, 1, __ATOMIC_SEQ_CST);
    if (fail && access(fail, F_OK) == 0) {
        errno = EIO;
        return -1;
    }
    return real(file);
}

int fsync(int file) { return counted(real_fsync, file); }

int fdatasync(int file) { return counted(real_fdatasync, file); }
