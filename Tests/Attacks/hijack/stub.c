#include "hijack.h"
const struct attack frame_attacks[] = {{NULL, NULL}};
const struct attack stack_attacks[] = {{NULL, NULL}};
const struct attack signal_attacks[] = {{NULL, NULL}};
const struct attack pointer_attacks[] = {{NULL, NULL}};
const struct attack code_attacks[] = {{NULL, NULL}};
const struct attack entry_attacks[] = {{NULL, NULL}};
const struct attack race_attacks[] = {{NULL, NULL}};
const struct attack guard_attacks[] = {{NULL, NULL}};
const struct attack foreign_attacks[] = {{NULL, NULL}};
