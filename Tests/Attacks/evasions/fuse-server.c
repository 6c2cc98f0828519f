// A file system with one file, "f", whose server can fall silent: `fuse-server DIRECTORY FILE stack` never answers a READ,
// `fuse-server DIRECTORY FILE code` answers everything but the second OPEN of the file. What "f" holds is FILE. It says "ready".
//
// Whoever needs an answer that does not come waits for it. It should not be the supervisor.
#include "evade.h"
#include <linux/fuse.h>
#include <sys/mount.h>
#include <sys/stat.h>

enum { ROOT = FUSE_ROOT_ID, FILE_NODE = 2, LARGEST = 1 << 17 };
static const size_t least_size = 1 << 20; // room for a stack, whatever FILE holds
static int device;

static void reply(uint64_t request, int error, const void *data, size_t size) {
  static char message[sizeof(struct fuse_out_header) + LARGEST];
  struct fuse_out_header header = {.len = sizeof header + size, .error = error, .unique = request};
  memcpy(message, &header, sizeof header);
  if (size > 0) memcpy(message + sizeof header, data, size);
  // A request that was given up meanwhile has no reader.
  if (write(device, message, header.len) < 0 && errno != ENOENT) exit(1);
}

static struct fuse_attr attributes(uint64_t node, size_t size) {
  return (struct fuse_attr){
      .ino = node, .mode = node == ROOT ? S_IFDIR | 0755 : S_IFREG | 0755, .nlink = 1, .size = size, .blksize = PAGE};
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  int hold_reads = !strcmp(argv[3], "stack"), opens = 0;
  int content = open(argv[2], O_RDONLY);
  struct stat status;
  need(content >= 0 && fstat(content, &status) == 0, argv[2]);
  size_t size = hold_reads ? least_size : (size_t)status.st_size;
  device = open("/dev/fuse", O_RDWR);
  need(device >= 0, "/dev/fuse");
  char options[128];
  snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=%d,group_id=%d,allow_other", device, getuid(), getgid());
  need(mount("callgate-test", argv[1], "fuse", 0, options) == 0, "mount");
  printf("ready\n");
  fflush(stdout);

  static char request[(1 << 17) + PAGE];
  for (;;) {
    ssize_t count = read(device, request, sizeof request);
    if (count < 0 && (errno == EINTR || errno == ENOENT)) continue;
    if (count < 0) return 0; // unmounted
    struct fuse_in_header *in = (void *)request;
    void *body = request + sizeof *in;
    switch (in->opcode) {
    case FUSE_INIT: {
      struct fuse_init_out out = {.major = 7, .minor = 31, .max_write = 65536};
      reply(in->unique, 0, &out, sizeof out);
      break;
    }
    case FUSE_LOOKUP: {
      if (strcmp(body, "f")) {
        reply(in->unique, -ENOENT, NULL, 0);
        break;
      }
      struct fuse_entry_out out = {.nodeid = FILE_NODE, .attr_valid = 1000, .entry_valid = 1000, .attr = attributes(FILE_NODE, size)};
      reply(in->unique, 0, &out, sizeof out);
      break;
    }
    case FUSE_GETATTR: {
      struct fuse_attr_out out = {.attr_valid = 1000, .attr = attributes(in->nodeid, size)};
      reply(in->unique, 0, &out, sizeof out);
      break;
    }
    case FUSE_OPEN:
    case FUSE_OPENDIR: {
      if (in->opcode == FUSE_OPEN && !hold_reads && opens++ > 0) {
        printf("an OPEN is held\n");
        fflush(stdout);
        break;
      }
      struct fuse_open_out out = {.fh = 1};
      reply(in->unique, 0, &out, sizeof out);
      break;
    }
    case FUSE_READ: {
      if (hold_reads) {
        printf("a READ is held\n");
        fflush(stdout);
        break;
      }
      struct fuse_read_in *wanted = body;
      static char part[LARGEST];
      ssize_t got = pread(content, part, wanted->size < LARGEST ? wanted->size : LARGEST, wanted->offset);
      reply(in->unique, got < 0 ? -EIO : 0, part, got < 0 ? 0 : got);
      break;
    }
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
    case FUSE_INTERRUPT: break; // without an answer
    case FUSE_RELEASE:
    case FUSE_RELEASEDIR:
    case FUSE_FLUSH:
    case FUSE_ACCESS: reply(in->unique, 0, NULL, 0); break;
    default: reply(in->unique, -ENOSYS, NULL, 0);
    }
  }
}
