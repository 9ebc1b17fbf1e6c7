/* Threads that submit are raised, once, where they are below; with stand-ins for what only Apple's systems have. */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>

#include "thread.h"

static _Thread_local unsigned int ownClass;
static _Thread_local int settings;

unsigned int qos_class_self(void) {
  return ownClass;
}

int pthread_set_qos_class_self_np(unsigned int qosClass, int relativePriority) {
  settings += relativePriority == 0 ? 1 : 100;
  ownClass = qosClass;
  return 0;
}

/* The class that a thread of class `argument` has after two calls; 1 is added for each setting. */
static void *raiseTwice(void *argument) {
  ownClass = *(unsigned int *)argument;
  bridgeThreadRaise();
  bridgeThreadRaise();
  *(unsigned int *)argument = ownClass * 256 + (unsigned int)settings;
  return NULL;
}

int main(void) {
  /* user interactive, user initiated, default, utility, background, unspecified */
  const unsigned int before[] = {0x21, 0x19, 0x15, 0x11, 0x09, 0x00};
  const unsigned int after[] = {0x2100, 0x1900, 0x1901, 0x1901, 0x1901, 0x1901};
  int failures = bridgeThreadHasQos() ? 0 : 1;
  for (int i = 0; i < 6; i++) {
    unsigned int value = before[i];
    pthread_t thread;
    pthread_create(&thread, NULL, raiseTwice, &value);
    pthread_join(thread, NULL);
    if (value == after[i]) continue;
    failures++;
    printf("a thread of class 0x%x: 0x%x instead of 0x%x\n", before[i], value, after[i]);
  }
  if (failures == 0) printf("ok threads are raised to user initiated, once, where they are below\n");
  return failures > 0;
}
