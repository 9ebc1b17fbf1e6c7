/* Giving the processor to others. */
#ifndef APPLE_SCHED_H
#define APPLE_SCHED_H

extern int sched_yield(void);

#endif
