#import <Foundation/NSLock.h>

@implementation NSLock

- (instancetype)init {
  self = [super init];
  if (self) pthread_mutex_init(&_mutex, NULL);
  return self;
}

- (void)dealloc {
  pthread_mutex_destroy(&_mutex);
  [super dealloc];
}

- (void)lock {
  pthread_mutex_lock(&_mutex);
}

- (void)unlock {
  pthread_mutex_unlock(&_mutex);
}

- (BOOL)tryLock {
  return pthread_mutex_trylock(&_mutex) == 0;
}

@end
