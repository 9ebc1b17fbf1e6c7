/* thread.h: how the system schedules the threads that submit work. */
#ifndef BRIDGE_THREAD_H
#define BRIDGE_THREAD_H

#include <stdbool.h>

/** Whether the system has classes of service for threads. */
bool bridgeThreadHasQos(void);

/** Raises the calling thread to "user initiated" where it is below; looked at once per thread. */
void bridgeThreadRaise(void);

#endif
