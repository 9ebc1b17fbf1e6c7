/* What compute and blit encoders share. */
#import "Objects.h"

@implementation LinuxCommandEncoder

- (id)initWithCommandBuffer:(LinuxCommandBuffer *)commands {
  self = [super init];
  if (self) commandBuffer = [commands retain];
  return self;
}

- (void)dealloc {
  if (!isEnded) {
    commandBuffer->hasLostEncoder = true; // commit will raise: see there
    commandBuffer->openEncoder = nil;
  }
  [commandBuffer release];
  [super dealloc];
}

- (id<MTLDevice>)device {
  return [commandBuffer device];
}

- (void)requireOpen {
  if (isEnded) MTLBreakRule(@"MTLCommandEncoderEnded", @"the command encoder is used after endEncoding");
}

- (void)requireDevice:(id<MTLDevice>)device of:(const char *)what {
  if (device != [commandBuffer device]) MTLBreakRule(@"MTLDeviceMismatch", @"the %s is of another device", what);
}

- (void)endEncoding {
  [self requireOpen];
  if (debugGroups != 0) MTLBreakRule(@"MTLDebugGroup", @"%lu debug groups were not popped", debugGroups);
  isEnded = true;
  commandBuffer->openEncoder = nil;
  [commandBuffer append:DriverCommandBarrier]; // encoders of a command buffer run in order
}

- (void)insertDebugSignpost:(NSString *)string {
  (void)string;
  [self requireOpen];
}

- (void)pushDebugGroup:(NSString *)string {
  (void)string;
  [self requireOpen];
  debugGroups++;
}

- (void)popDebugGroup {
  [self requireOpen];
  if (debugGroups == 0) MTLBreakRule(@"MTLDebugGroup", @"popDebugGroup without pushDebugGroup");
  debugGroups--;
}

@end
