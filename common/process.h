#ifndef COMMON_PROCESS_H
#define COMMON_PROCESS_H

/* The name that ps and the kernel's log show, as far as it fits. */
void process_name(const char *name);

/* End when the parent ends, however it ends. Lost by a change of uid. */
void process_end_with_parent(void);
#endif
