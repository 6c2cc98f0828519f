// Frame sizes, from .eh_frame: what makes a forged frame fit. Only what a frame with a CFA that is counted from rsp needs.
#include "hijack.h"

struct reader {
  const uint8_t *at;
};

static uint32_t u32(struct reader *reader) {
  uint32_t value;
  memcpy(&value, reader->at, 4);
  reader->at += 4;
  return value;
}

static uint64_t uleb(struct reader *reader) {
  uint64_t value = 0;
  for (unsigned shift = 0;; shift += 7) {
    uint8_t byte = *reader->at++;
    value |= (uint64_t)(byte & 0x7f) << shift;
    if (!(byte & 0x80)) return value;
  }
}

struct entry {
  word start, end;
  const uint8_t *program, *program_end, *common, *common_end; // instructions of the FDE and of its CIE
  uint64_t code_factor;
};

// One FDE, with its CIE: pointers are pc-relative, four bytes (DW_EH_PE_pcrel | DW_EH_PE_sdata4), as every compiler writes them here.
static void read_entry(const uint8_t *fde, struct entry *entry) {
  struct reader reader = {fde};
  uint32_t length = u32(&reader);
  entry->program_end = reader.at + length;
  const uint8_t *cie = reader.at - *(const uint32_t *)reader.at;
  reader.at += 4;
  entry->start = (word)reader.at + (word)(int64_t)(int32_t)u32(&(struct reader){reader.at});
  reader.at += 4;
  entry->end = entry->start + u32(&reader);

  struct reader common = {cie};
  uint32_t common_length = u32(&common);
  entry->common_end = common.at + common_length;
  common.at += 5; // the id and the version
  const char *augmentation = (const char *)common.at;
  common.at += strlen(augmentation) + 1;
  entry->code_factor = uleb(&common);
  uleb(&common); // the data factor
  uleb(&common); // the return address register
  if (*augmentation == 'z') {
    uint64_t skip = uleb(&common);
    common.at += skip;
    skip = uleb(&reader);
    reader.at += skip;
  }
  entry->common = common.at;
  entry->program = reader.at;
}

// Goes through .eh_frame from its beginning: static programs, and all of musl-gcc's, have no table to search.
static int entry_of(word address, struct entry *entry) {
  size_t size;
  const uint8_t *at = section_of(address, ".eh_frame", &size), *end = at + size;
  while (at && at + 8 < end) {
    uint32_t length = *(const uint32_t *)at;
    if (length == 0) return 0;
    if (*(const uint32_t *)(at + 4) != 0) { // a CIE has 0 here
      read_entry(at, entry);
      if (entry->start <= address && address < entry->end) return 1;
    }
    at += 4 + length;
  }
  return 0;
}

int function_at(word address, word *start, word *end) {
  struct entry entry;
  if (!entry_of(address, &entry)) return 0;
  *start = entry.start;
  *end = entry.end;
  return 1;
}

struct rule {
  int by_rsp;
  uint64_t offset;
};

// Executes the instructions up to the row that holds `target`; what it does not know makes the row one that is not counted from rsp.
static void execute(struct reader reader, const uint8_t *end, struct entry *entry, word target, struct rule *rule) {
  struct rule saved[16];
  unsigned depth = 0;
  word at = entry->start;
  while (reader.at < end) {
    uint8_t code = *reader.at++, low = code & 0x3f;
    uint64_t advance = 0;
    switch (code >> 6 ? code & 0xc0 : code) {
    case 0x40: advance = low; break;                              // DW_CFA_advance_loc
    case 0x02: advance = *reader.at; reader.at += 1; break;       // …1
    case 0x03: advance = *(const uint16_t *)reader.at; reader.at += 2; break;
    case 0x04: advance = u32(&reader); break;
    case 0x80: uleb(&reader); break;                              // DW_CFA_offset
    case 0xc0: case 0x00: break;                                  // DW_CFA_restore, nop
    case 0x06: case 0x07: case 0x08: case 0x2e: uleb(&reader); break; // restore_extended, undefined, same_value, GNU_args_size
    case 0x05: case 0x09: case 0x11: case 0x14: uleb(&reader), uleb(&reader); break;
    case 0x0a: if (depth < LENGTH(saved)) saved[depth++] = *rule; break; // remember_state
    case 0x0b: if (depth > 0) *rule = saved[--depth]; break;
    case 0x0c: rule->by_rsp = uleb(&reader) == 7; rule->offset = uleb(&reader); break; // DW_CFA_def_cfa
    case 0x0d: rule->by_rsp = uleb(&reader) == 7; break;
    case 0x0e: rule->offset = uleb(&reader); break;
    case 0x10: case 0x16: { uleb(&reader); uint64_t skip = uleb(&reader); reader.at += skip; break; } // (val_)expression
    default: rule->by_rsp = 0; return;                            // def_cfa_expression among them
    }
    at += advance * entry->code_factor;
    if (advance && at > target) return;
  }
}

long frame_size(word return_address) {
  struct entry entry;
  if (!entry_of(return_address - 1, &entry)) return -1;
  struct rule rule = {0, 0};
  execute((struct reader){entry.common}, entry.common_end, &entry, ~0ul, &rule);
  execute((struct reader){entry.program}, entry.program_end, &entry, return_address - 1, &rule);
  return rule.by_rsp ? (long)rule.offset : -1;
}
