#import <Foundation/NSValue.h>

#import <Foundation/NSString.h>
#include <string.h>

@implementation NSValue

- (id)copyWithZone:(NSZone *)zone {
  (void)zone;
  return [self retain];
}

- (const char *)objCType {
  return "?";
}

@end

/* What the value's union holds. */
enum { TypeBool = 'c', TypeInteger = 'q', TypeNatural = 'Q', TypeReal = 'd' };

@implementation NSNumber

+ (NSNumber *)numberWithBool:(BOOL)value {
  return [[[self alloc] initWithBool:value] autorelease];
}

+ (NSNumber *)numberWithInt:(int)value {
  return [[[self alloc] initWithLongLong:value] autorelease];
}

+ (NSNumber *)numberWithUnsignedInt:(unsigned int)value {
  return [[[self alloc] initWithLongLong:value] autorelease];
}

+ (NSNumber *)numberWithLong:(long)value {
  return [[[self alloc] initWithLongLong:value] autorelease];
}

+ (NSNumber *)numberWithLongLong:(long long)value {
  return [[[self alloc] initWithLongLong:value] autorelease];
}

+ (NSNumber *)numberWithUnsignedLongLong:(unsigned long long)value {
  return [[[self alloc] initWithUnsignedLongLong:value] autorelease];
}

+ (NSNumber *)numberWithInteger:(NSInteger)value {
  return [[[self alloc] initWithLongLong:value] autorelease];
}

+ (NSNumber *)numberWithUnsignedInteger:(NSUInteger)value {
  return [[[self alloc] initWithUnsignedLongLong:value] autorelease];
}

+ (NSNumber *)numberWithFloat:(float)value {
  return [[[self alloc] initWithDouble:(double)value] autorelease];
}

+ (NSNumber *)numberWithDouble:(double)value {
  return [[[self alloc] initWithDouble:value] autorelease];
}

- (instancetype)initWithBool:(BOOL)value {
  self = [self initWithLongLong:value ? 1 : 0];
  if (self) _type = TypeBool;
  return self;
}

- (instancetype)initWithInt:(int)value {
  return [self initWithLongLong:value];
}

- (instancetype)initWithInteger:(NSInteger)value {
  return [self initWithLongLong:value];
}

- (instancetype)initWithLongLong:(long long)value {
  self = [super init];
  if (!self) return nil;
  _value.integer = value;
  _type = TypeInteger;
  return self;
}

- (instancetype)initWithUnsignedLongLong:(unsigned long long)value {
  self = [super init];
  if (!self) return nil;
  _value.natural = value;
  _type = TypeNatural;
  return self;
}

- (instancetype)initWithDouble:(double)value {
  self = [super init];
  if (!self) return nil;
  _value.real = value;
  _type = TypeReal;
  return self;
}

- (const char *)objCType {
  switch (_type) {
    case TypeBool: return "c";
    case TypeNatural: return "Q";
    case TypeReal: return "d";
    default: return "q";
  }
}

- (long long)longLongValue {
  return _type == TypeReal ? (long long)_value.real : _value.integer;
}

- (unsigned long long)unsignedLongLongValue {
  return _type == TypeReal ? (unsigned long long)_value.real : _value.natural;
}

- (double)doubleValue {
  if (_type == TypeReal) return _value.real;
  return _type == TypeNatural ? (double)_value.natural : (double)_value.integer;
}

- (BOOL)boolValue {
  return _type == TypeReal ? _value.real != 0 : _value.integer != 0;
}

- (int)intValue {
  return (int)[self longLongValue];
}

- (unsigned int)unsignedIntValue {
  return (unsigned int)[self unsignedLongLongValue];
}

- (long)longValue {
  return [self longLongValue];
}

- (NSInteger)integerValue {
  return [self longLongValue];
}

- (NSUInteger)unsignedIntegerValue {
  return [self unsignedLongLongValue];
}

- (float)floatValue {
  return (float)[self doubleValue];
}

- (NSString *)stringValue {
  if (_type == TypeReal) return [NSString stringWithFormat:@"%.17g", _value.real];
  if (_type == TypeNatural) return [NSString stringWithFormat:@"%llu", _value.natural];
  return [NSString stringWithFormat:@"%lld", _value.integer];
}

- (NSString *)description {
  return [self stringValue];
}

- (NSComparisonResult)compare:(NSNumber *)number {
  // Integers of up to 64 bits are compared as such: double would merge neighbours above 2^53.
  if (_type != TypeReal && number->_type != TypeReal) {
    bool negative = _type != TypeNatural && _value.integer < 0;
    bool otherNegative = number->_type != TypeNatural && number->_value.integer < 0;
    if (negative != otherNegative) return negative ? NSOrderedAscending : NSOrderedDescending;
    if (_value.natural == number->_value.natural) return NSOrderedSame;
    return _value.natural < number->_value.natural ? NSOrderedAscending : NSOrderedDescending;
  }
  double left = [self doubleValue], right = [number doubleValue];
  return left < right ? NSOrderedAscending : left > right ? NSOrderedDescending : NSOrderedSame;
}

- (NSUInteger)hash {
  return (NSUInteger)[self longLongValue];
}

- (BOOL)isEqual:(id)object {
  return [object isKindOfClass:[NSNumber class]] && [self isEqualToNumber:object];
}

- (BOOL)isEqualToNumber:(NSNumber *)number {
  return number != nil && [self compare:number] == NSOrderedSame;
}

@end
