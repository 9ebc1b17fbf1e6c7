#ifndef METAL_MTLCOMMANDENCODER_H
#define METAL_MTLCOMMANDENCODER_H

#import <Metal/MTLTypes.h>

typedef NS_OPTIONS(NSUInteger, MTLBarrierScope) {
  MTLBarrierScopeBuffers = 1,
  MTLBarrierScopeTextures = 2,
  MTLBarrierScopeRenderTargets = 4,
};

/** Writes commands into a command buffer; at most one is open per command buffer. It keeps its command buffer alive. */
@protocol MTLCommandEncoder <NSObject>
@property (readonly) id<MTLDevice> device;
@property (copy, atomic) NSString *label;
/** Exactly once, before the encoder is released. */
- (void)endEncoding;
- (void)insertDebugSignpost:(NSString *)string;
- (void)pushDebugGroup:(NSString *)string;
- (void)popDebugGroup;
@end

#endif
