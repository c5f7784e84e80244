#ifndef SUPERVISOR_SUPERVISE_H
#define SUPERVISOR_SUPERVISE_H

/* The whole program: its exit status. */
int supervise(int argc, char **argv);
#endif
