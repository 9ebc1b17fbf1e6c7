#import <Foundation/NSArray.h>

#import <Foundation/NSException.h>
#import <Foundation/NSString.h>
#include <stdlib.h>
#include <string.h>

@implementation NSArray

+ (instancetype)array {
  return [[[self alloc] init] autorelease];
}

+ (instancetype)arrayWithObject:(id)object {
  return [[[self alloc] initWithObjects:&object count:1] autorelease];
}

+ (instancetype)arrayWithObjects:(const id[])objects count:(NSUInteger)count {
  return [[[self alloc] initWithObjects:objects count:count] autorelease];
}

+ (instancetype)arrayWithArray:(NSArray *)array {
  return [[[self alloc] initWithArray:array] autorelease];
}

- (instancetype)initWithObjects:(const id[])objects count:(NSUInteger)count {
  self = [super init];
  if (!self) return nil;
  for (NSUInteger i = 0; i < count; i++) {
    if (objects[i] != nil) continue;
    [self release];
    [NSException raise:NSInvalidArgumentException format:@"-[NSArray initWithObjects:count:]: nil object at index %lu", i];
  }
  _objects = malloc((count ? count : 1) * sizeof(id));
  if (!_objects) {
    [self release];
    return nil;
  }
  _count = _capacity = count;
  for (NSUInteger i = 0; i < count; i++) _objects[i] = [objects[i] retain];
  return self;
}

- (instancetype)init {
  return [self initWithObjects:NULL count:0];
}

- (instancetype)initWithArray:(NSArray *)array {
  return [self initWithObjects:array->_objects count:[array count]];
}

- (void)dealloc {
  for (NSUInteger i = 0; i < _count; i++) [_objects[i] release];
  free(_objects);
  [super dealloc];
}

- (id)copyWithZone:(NSZone *)zone {
  (void)zone;
  return [self retain];
}

- (id)mutableCopyWithZone:(NSZone *)zone {
  (void)zone;
  return [[NSMutableArray alloc] initWithArray:self];
}

- (NSUInteger)count {
  return _count;
}

- (id)objectAtIndex:(NSUInteger)index {
  if (index >= _count) {
    [NSException raise:NSRangeException format:@"-[NSArray objectAtIndex:]: index %lu of %lu", index, _count];
  }
  return _objects[index];
}

- (id)objectAtIndexedSubscript:(NSUInteger)index {
  return [self objectAtIndex:index];
}

- (id)firstObject {
  return _count > 0 ? _objects[0] : nil;
}

- (id)lastObject {
  return _count > 0 ? _objects[_count - 1] : nil;
}

- (NSUInteger)indexOfObject:(id)object {
  for (NSUInteger i = 0; i < _count; i++) {
    if (_objects[i] == object || [_objects[i] isEqual:object]) return i;
  }
  return NSNotFound;
}

- (BOOL)containsObject:(id)object {
  return [self indexOfObject:object] != NSNotFound;
}

- (NSUInteger)hash {
  return _count;
}

- (BOOL)isEqual:(id)object {
  return [object isKindOfClass:[NSArray class]] && [self isEqualToArray:object];
}

- (BOOL)isEqualToArray:(NSArray *)array {
  if (array == nil || array->_count != _count) return NO;
  for (NSUInteger i = 0; i < _count; i++) {
    if (![_objects[i] isEqual:array->_objects[i]]) return NO;
  }
  return YES;
}

- (NSString *)componentsJoinedByString:(NSString *)separator {
  NSMutableString *text = [NSMutableString string];
  for (NSUInteger i = 0; i < _count; i++) {
    if (i > 0) [text appendString:separator];
    [text appendString:[_objects[i] description]];
  }
  return text;
}

- (NSString *)description {
  return [NSString stringWithFormat:@"(%@)", [self componentsJoinedByString:@", "]];
}

- (NSUInteger)countByEnumeratingWithState:(NSFastEnumerationState *)state objects:(id *)buffer count:(NSUInteger)count {
  (void)buffer, (void)count;
  if (state->state != 0) return 0;
  state->state = 1;
  state->itemsPtr = _objects;
  state->mutationsPtr = &_mutations;
  return _count;
}

@end

@implementation NSMutableArray

+ (instancetype)arrayWithCapacity:(NSUInteger)capacity {
  return [[[self alloc] initWithCapacity:capacity] autorelease];
}

- (instancetype)initWithCapacity:(NSUInteger)capacity {
  self = [self init];
  if (self) [self growTo:capacity];
  return self;
}

- (void)growTo:(NSUInteger)count {
  if (count <= _capacity) return;
  NSUInteger capacity = count < 4 ? 4 : count * 2;
  id *objects = realloc(_objects, capacity * sizeof(id));
  if (!objects) [NSException raise:NSMallocException format:@"cannot grow an array to %lu objects", capacity];
  _objects = objects;
  _capacity = capacity;
}

- (id)copyWithZone:(NSZone *)zone {
  (void)zone;
  return [[NSArray alloc] initWithArray:self];
}

- (void)addObject:(id)object {
  [self insertObject:object atIndex:_count];
}

- (void)insertObject:(id)object atIndex:(NSUInteger)index {
  if (object == nil) [NSException raise:NSInvalidArgumentException format:@"-[NSMutableArray insertObject:atIndex:]: nil object"];
  if (index > _count) {
    [NSException raise:NSRangeException format:@"-[NSMutableArray insertObject:atIndex:]: index %lu of %lu", index, _count];
  }
  [self growTo:_count + 1];
  memmove(_objects + index + 1, _objects + index, (_count - index) * sizeof(id));
  _objects[index] = [object retain];
  _count++;
  _mutations++;
}

- (void)replaceObjectAtIndex:(NSUInteger)index withObject:(id)object {
  if (object == nil) {
    [NSException raise:NSInvalidArgumentException format:@"-[NSMutableArray replaceObjectAtIndex:withObject:]: nil object"];
  }
  id replaced = [self objectAtIndex:index];
  _objects[index] = [object retain];
  _mutations++;
  [replaced release];
}

- (void)removeObjectAtIndex:(NSUInteger)index {
  id removed = [self objectAtIndex:index];
  memmove(_objects + index, _objects + index + 1, (_count - index - 1) * sizeof(id));
  _count--;
  _mutations++;
  [removed release];
}

- (void)removeObject:(id)object {
  for (NSUInteger i = _count; i-- > 0;) {
    if ([_objects[i] isEqual:object]) [self removeObjectAtIndex:i];
  }
}

- (void)removeLastObject {
  [self removeObjectAtIndex:_count - 1];
}

- (void)removeAllObjects {
  while (_count > 0) [self removeLastObject];
}

@end
