/* Classes, messages, super, results in memory, arguments on the stack. */
#import <Metal/Metal.h>

#include <string.h>

#include "case.h"

CASE(classesAreKnownByName);

@protocol Shaped
- (int)corners;
@end

@interface Shape : NSObject <Shaped, NSCopying> {
 @public
  char kind;
  double area;
  short small;
}
+ (int)count;
- (id)initWithArea:(double)value;
@end

@interface Square : Shape {
 @public
  char mark;
  MTLSize size;
}
@end

static int shapesMade, shapesGone;

@implementation Shape
+ (int)count {
  return 1;
}
- (id)initWithArea:(double)value {
  self = [super init];
  if (!self) return nil;
  area = value;
  kind = 's';
  small = -3;
  shapesMade++;
  return self;
}
- (id)copyWithZone:(NSZone *)zone {
  (void)zone;
  return [self retain];
}
- (int)corners {
  return 0;
}
- (double)scaledBy:(double)factor plus:(float)summand {
  return area * factor + (double)summand;
}
- (MTLSize)sizeFor:(NSUInteger)length {
  return MTLSizeMake(length, length + 1, length + 2);
}
- (NSRange)rangeFrom:(NSUInteger)start {
  return NSMakeRange(start, start * 2);
}
- (NSUInteger)sumOf:(MTLSize)one and:(MTLSize)other with:(int)a with:(int)b with:(int)c with:(int)d with:(int)e {
  return one.width + one.height + one.depth + other.width * 100 + other.height * 100 + other.depth * 100 +
         (NSUInteger)(a * 10000 + b * 100000 + c * 1000000 + d * 10000000 + e * 100000000);
}
- (void)dealloc {
  shapesGone++;
  [super dealloc];
}
@end

@implementation Square
+ (int)count {
  return [super count] + 10;
}
- (id)initWithArea:(double)value {
  self = [super initWithArea:value];
  if (!self) return nil;
  mark = 'q';
  size = MTLSizeMake(4, 5, 6);
  return self;
}
- (int)corners {
  return 4 + [super corners];
}
- (MTLSize)sizeFor:(NSUInteger)length {
  MTLSize above = [super sizeFor:length];
  return MTLSizeMake(above.width * 10, above.height * 10, above.depth * 10);
}
@end

CASE(classesAreKnownByName) {
  EXPECT(NSClassFromString(@"Shape") == [Shape class]);
  EXPECT([Square superclass] == [Shape class]);
  EXPECT([Shape superclass] == [NSObject class]);
  EXPECT(strcmp([[Square description] UTF8String], "Square") == 0);
  return NULL;
}

CASE(instanceVariablesLieWhereTheCompilerPutThem) {
  Square *square = [[Square alloc] initWithArea:2.5];
  EXPECT(square->area == 2.5 && square->kind == 's' && square->small == -3 && square->mark == 'q');
  EXPECT(square->size.width == 4 && square->size.height == 5 && square->size.depth == 6);
  EXPECT((char *)&square->kind - (char *)square == sizeof(void *));
  EXPECT((char *)&square->mark > (char *)&square->small);
  [square release];
  return NULL;
}

CASE(deallocReachesEveryClass) {
  int made = shapesMade, gone = shapesGone;
  Shape *shape = [[Square alloc] initWithArea:1];
  Shape *same = [shape retain];
  [shape release];
  EXPECT(shapesMade - made == 1 && shapesGone == gone);
  [same release];
  EXPECT(shapesGone - gone == 1);
  return NULL;
}

CASE(superIsTheClassAboveTheMethod) {
  EXPECT([Square count] == 11 && [Shape count] == 1);
  Shape *square = [[[Square alloc] initWithArea:1] autorelease];
  EXPECT([square corners] == 4);
  return NULL;
}

CASE(classesAnswerForTheirProtocolsAndSelectors) {
  Square *square = [[[Square alloc] initWithArea:1] autorelease];
  EXPECT([square conformsToProtocol:@protocol(NSCopying)]);
  EXPECT([square respondsToSelector:@selector(corners)]);
  EXPECT(![square respondsToSelector:@selector(cornersOfNothing)]);
  EXPECT([square isKindOfClass:[Shape class]] && ![square isMemberOfClass:[Shape class]]);
  return NULL;
}

CASE(numbersPassThroughMessages) {
  Shape *shape = [[[Shape alloc] initWithArea:3] autorelease];
  EXPECT([shape scaledBy:2 plus:0.5f] == 6.5);
  NSRange range = [shape rangeFrom:21];
  EXPECT(range.location == 21 && range.length == 42);
  NSString *text = [NSString stringWithFormat:@"%d %.2f %s %@ %lu", 7, 2.5, "c", @"object", 1ul << 40];
  EXPECT(strcmp([text UTF8String], "7 2.50 c object 1099511627776") == 0);
  return NULL;
}

CASE(structuresPassInMemory) {
  Shape *shape = [[[Square alloc] initWithArea:3] autorelease];
  MTLSize size = [shape sizeFor:7];
  EXPECT(size.width == 70 && size.height == 80 && size.depth == 90);
  NSUInteger sum = [shape sumOf:MTLSizeMake(1, 2, 3) and:MTLSizeMake(1, 1, 1) with:1 with:2 with:3 with:4 with:5];
  EXPECT(sum == 6 + 300 + 543210000ul);
  return NULL;
}

CASE(messagesToNilAreZero) {
  Shape *shape = nil;
  MTLSize size = [shape sizeFor:7];
  NSRange range = [shape rangeFrom:3];
  EXPECT([shape corners] == 0 && [shape scaledBy:1 plus:2] == 0);
  EXPECT(size.width == 0 && size.height == 0 && size.depth == 0);
  EXPECT(range.location == 0 && range.length == 0);
  EXPECT([[shape copy] autorelease] == nil);
  return NULL;
}

CASE(constantStringsAreStrings) {
  NSString *text = @"constant";
  EXPECT([text length] == 8 && strcmp([text UTF8String], "constant") == 0);
  EXPECT([text isEqualToString:[NSString stringWithUTF8String:"constant"]]);
  EXPECT([[NSString stringWithUTF8String:"constant"] isEqualToString:text]);
  EXPECT([[[text retain] autorelease] copy] == text);
  NSMutableString *built = [NSMutableString stringWithCapacity:0];
  [built appendString:text];
  [built appendString:@""];
  EXPECT([built isEqualToString:@"constant"]);
  return NULL;
}
