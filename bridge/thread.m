#import "thread.h"

#include <stdint.h>

/*
 * A thread of low class (a runtime's helper thread, one that a background process made) is scheduled on slow cores and
 * late, and every submission then waits for it. Declared here and weak, as only Apple's systems have them; the class is
 * an unsigned int there.
 */
extern unsigned int qos_class_self(void) __attribute__((weak));
extern int pthread_set_qos_class_self_np(unsigned int qosClass, int relativePriority) __attribute__((weak));

enum { QosUserInitiated = 0x19 };

bool bridgeThreadHasQos(void) {
  return qos_class_self && pthread_set_qos_class_self_np;
}

void bridgeThreadRaise(void) {
  static _Thread_local bool isDone;
  if (isDone) return;
  isDone = true;
  // Unspecified is 0: a thread that has left the classes, to which Metal's own rules apply. It is raised as well.
  if (bridgeThreadHasQos() && qos_class_self() < QosUserInitiated)
    pthread_set_qos_class_self_np(QosUserInitiated, 0);
}
