/*
 * DeviceList.m: which devices there are. The list and its devices are made once and stay, as Apple's do.
 */
#import "LinuxDevice.h"
#include <pthread.h>

/* The default device is the first one of the first driver that has any. */
static const Driver *const drivers[] = {&cpuDriver};

static NSMutableArray *devices;
static pthread_once_t devicesOnce = PTHREAD_ONCE_INIT;

static void makeDevices(void) {
  devices = [[NSMutableArray alloc] init];
  for (size_t i = 0; i < sizeof drivers / sizeof *drivers; i++) {
    uint32_t count = drivers[i]->deviceCount();
    for (uint32_t index = 0; index < count; index++) {
      LinuxDevice *device = [[LinuxDevice alloc] initWithDriver:drivers[i] index:index];
      [devices addObject:device];
      [device release];
    }
  }
}

NSArray<id<MTLDevice>> *MTLCopyAllDevices(void) {
  pthread_once(&devicesOnce, makeDevices);
  return [devices copy];
}

id<MTLDevice> MTLCreateSystemDefaultDevice(void) {
  pthread_once(&devicesOnce, makeDevices);
  return [[devices firstObject] retain];
}
