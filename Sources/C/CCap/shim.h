// The five functions of libcap that are used, as sys/capability.h declares them. The header itself brings sys/select.h along, whose
// fd_set differs between C modules that are and are not GNU sources; Swift refuses to merge the two.
#pragma once
typedef struct _cap_struct *cap_t;
typedef int cap_value_t;
cap_t _Nullable cap_init(void);
int cap_free(void *_Nonnull capabilities);
int cap_set_proc(cap_t _Nonnull capabilities);
int cap_get_bound(cap_value_t capability);
int cap_drop_bound(cap_value_t capability);
