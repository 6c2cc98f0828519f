// The loaded files, read as an attacker reads them: their symbols (from the file, as section headers are not loaded) and their code.
#include "hijack.h"
#include <elf.h>
#include <link.h>
#include <stdarg.h>
#include <sys/stat.h>

struct image {
  word base;
  const uint8_t *file;
  const Elf64_Ehdr *header;
};
struct segment {
  word start, end;
  const struct image *image;
};

static struct image images[16];
static struct segment code[32];
static size_t image_count, code_count, program_segments;

_Noreturn void impossible(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  printf("impossible: ");
  vprintf(format, arguments);
  printf("\n");
  va_end(arguments);
  exit(77);
}

word need(word address, const char *what) {
  if (!address) impossible("no %s", what);
  return address;
}

static int note_image(struct dl_phdr_info *info, size_t size, void *unused) {
  (void)size, (void)unused;
  const char *path = image_count == 0 ? "/proc/self/exe" : info->dlpi_name;
  int file = open(path, O_RDONLY | O_CLOEXEC);
  struct stat status;
  if (file < 0 || fstat(file, &status) < 0 || image_count == LENGTH(images)) return 0; // the vDSO has no file
  const uint8_t *bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, file, 0);
  close(file);
  if (bytes == MAP_FAILED) return 0;
  images[image_count++] = (struct image){info->dlpi_addr, bytes, (const Elf64_Ehdr *)bytes};
  for (int n = 0; n < info->dlpi_phnum && code_count < LENGTH(code); n++) {
    const ElfW(Phdr) *segment = &info->dlpi_phdr[n];
    if (segment->p_type != PT_LOAD || !(segment->p_flags & PF_X)) continue;
    word start = info->dlpi_addr + segment->p_vaddr;
    code[code_count++] = (struct segment){start, start + segment->p_memsz, &images[image_count - 1]};
  }
  if (image_count == 1) program_segments = code_count;
  return 0;
}

static void need_images(void) {
  if (image_count == 0) dl_iterate_phdr(note_image, NULL);
}

static word symbol_in(const struct image *image, const char *name, uint32_t table_type) {
  const Elf64_Shdr *sections = (const Elf64_Shdr *)(image->file + image->header->e_shoff);
  for (int n = 0; n < image->header->e_shnum; n++) {
    if (sections[n].sh_type != table_type) continue;
    const Elf64_Sym *symbols = (const Elf64_Sym *)(image->file + sections[n].sh_offset);
    const char *strings = (const char *)image->file + sections[sections[n].sh_link].sh_offset;
    for (size_t s = 0; s < sections[n].sh_size / sizeof *symbols; s++)
      if (symbols[s].st_shndx != SHN_UNDEF && !strcmp(strings + symbols[s].st_name, name))
        return image->base + symbols[s].st_value;
  }
  return 0;
}

word symbol(const char *name) {
  need_images();
  for (size_t n = 0; n < image_count; n++) {
    word found = symbol_in(&images[n], name, SHT_SYMTAB);
    if (!found) found = symbol_in(&images[n], name, SHT_DYNSYM);
    if (found) return found;
  }
  return 0;
}

int is_code(word address) {
  need_images();
  for (size_t n = 0; n < code_count; n++)
    if (code[n].start <= address && address < code[n].end) return 1;
  return 0;
}

// The loaded section of that name of the image that `address` is code of.
const uint8_t *section_of(word address, const char *name, size_t *size) {
  need_images();
  for (size_t n = 0; n < code_count; n++) {
    if (address < code[n].start || address >= code[n].end) continue;
    const struct image *image = code[n].image;
    const Elf64_Shdr *sections = (const Elf64_Shdr *)(image->file + image->header->e_shoff);
    const char *names = (const char *)image->file + sections[image->header->e_shstrndx].sh_offset;
    for (int s = 0; s < image->header->e_shnum; s++) {
      if (strcmp(names + sections[s].sh_name, name)) continue;
      *size = sections[s].sh_size;
      return (const uint8_t *)(image->base + sections[s].sh_addr);
    }
  }
  *size = 0;
  return NULL;
}

word program_base(void) {
  need_images();
  return images[0].base;
}

word program_code(word *end) {
  need_images();
  *end = code[program_segments - 1].end;
  return code[0].start;
}

// The bytes of a pattern, and for each whether it counts.
static size_t parse(const char *pattern, uint8_t *bytes, uint8_t *counts) {
  size_t count = 0;
  for (const char *at = pattern; *at; at++) {
    if (*at == ' ') continue;
    counts[count] = *at != '?';
    bytes[count] = *at == '?' ? 0 : (uint8_t)strtoul((char[]){at[0], at[1], 0}, NULL, 16);
    count++, at++;
  }
  return count;
}

word find_in(const char *pattern, word start, word end) {
  uint8_t bytes[64], counts[64];
  size_t count = parse(pattern, bytes, counts);
  for (word at = start; at + count <= end; at++) {
    const uint8_t *here = (const uint8_t *)at;
    size_t same = 0;
    while (same < count && (!counts[same] || here[same] == bytes[same])) same++;
    if (same == count) return at;
  }
  return 0;
}

word find_after(const char *pattern, word after) {
  need_images();
  int begun = after == 0;
  for (size_t n = 0; n < code_count; n++) {
    int here = code[n].start <= after && after < code[n].end;
    if (!begun && !here) continue;
    word found = find_in(pattern, here ? after + 1 : code[n].start, code[n].end);
    if (found) return found;
    begun = 1;
  }
  return 0;
}

word find(const char *pattern) { return find_after(pattern, 0); }

word next_call_to(word target, word after) {
  for (word at = after ? after - 5 : 0; (at = find_after("e8 ?? ?? ?? ??", at)) != 0;)
    if (at + 5 + *(const int32_t *)(at + 1) == target) return at + 5;
  return 0;
}

word return_after_call(word start, word end, word target) {
  for (word at = start; at + 5 <= end; at++)
    if (*(const uint8_t *)at == 0xe8 && at + 5 + *(const int32_t *)(at + 1) == target) return at + 5;
  return 0;
}
