/*
 * queue.h: a command queue is a stream. What is started on it runs in order, beside the CPU.
 */
#ifndef BUN_METAL_CUDA_QUEUE_H
#define BUN_METAL_CUDA_QUEUE_H

#include "device.h"

/* As Driver's functions of these names. */
void *cudaNewQueue(uint32_t device, char **message);
void cudaFreeQueue(void *queue);
void *cudaStart(void *queue, const DriverCommand *commands, uint32_t count, char **message);
bool cudaFinish(void *queue, void *work, double *seconds, char **message);

#endif
