#import <Foundation/NSDictionary.h>

#import <Foundation/NSException.h>
#import <Foundation/NSString.h>

@implementation NSDictionary

+ (instancetype)dictionary {
  return [[[self alloc] init] autorelease];
}

+ (instancetype)dictionaryWithObject:(id)object forKey:(id)key {
  return [[[self alloc] initWithObjects:&object forKeys:&key count:1] autorelease];
}

+ (instancetype)dictionaryWithObjects:(const id[])objects forKeys:(const id[])keys count:(NSUInteger)count {
  return [[[self alloc] initWithObjects:objects forKeys:keys count:count] autorelease];
}

- (instancetype)init {
  self = [super init];
  if (!self) return nil;
  _keys = [[NSMutableArray alloc] init];
  _values = [[NSMutableArray alloc] init];
  return self;
}

- (instancetype)initWithObjects:(const id[])objects forKeys:(const id[])keys count:(NSUInteger)count {
  self = [self init];
  if (!self) return nil;
  for (NSUInteger i = 0; i < count; i++) [self storeObject:objects[i] forKey:keys[i]];
  return self;
}

- (instancetype)initWithDictionary:(NSDictionary *)dictionary {
  self = [self init];
  if (!self) return nil;
  for (id key in dictionary) [self storeObject:[dictionary objectForKey:key] forKey:key];
  return self;
}

- (void)dealloc {
  [_keys release];
  [_values release];
  [super dealloc];
}

- (id)copyWithZone:(NSZone *)zone {
  (void)zone;
  return [self retain];
}

- (id)mutableCopyWithZone:(NSZone *)zone {
  (void)zone;
  return [[NSMutableDictionary alloc] initWithDictionary:self];
}

/** What both kinds of dictionary are filled with. */
- (void)storeObject:(id)object forKey:(id)key {
  if (object == nil || key == nil) {
    [NSException raise:NSInvalidArgumentException format:@"a dictionary takes neither a nil object nor a nil key"];
  }
  NSUInteger index = [_keys indexOfObject:key];
  if (index != NSNotFound) {
    [_values replaceObjectAtIndex:index withObject:object];
    return;
  }
  id copiedKey = [key copy];
  [_keys addObject:copiedKey];
  [copiedKey release];
  [_values addObject:object];
}

- (NSUInteger)count {
  return [_keys count];
}

- (id)objectForKey:(id)key {
  NSUInteger index = [_keys indexOfObject:key];
  return index == NSNotFound ? nil : [_values objectAtIndex:index];
}

- (id)objectForKeyedSubscript:(id)key {
  return [self objectForKey:key];
}

- (NSArray *)allKeys {
  return [[_keys copy] autorelease];
}

- (NSArray *)allValues {
  return [[_values copy] autorelease];
}

- (NSUInteger)hash {
  return [_keys count];
}

- (BOOL)isEqual:(id)object {
  if (![object isKindOfClass:[NSDictionary class]] || [object count] != [self count]) return NO;
  for (id key in _keys) {
    if (![[self objectForKey:key] isEqual:[object objectForKey:key]]) return NO;
  }
  return YES;
}

- (NSString *)description {
  NSMutableString *text = [NSMutableString stringWithUTF8String:"{"];
  for (id key in _keys) [text appendFormat:@" %@ = %@;", key, [self objectForKey:key]];
  [text appendString:@" }"];
  return text;
}

- (NSUInteger)countByEnumeratingWithState:(NSFastEnumerationState *)state objects:(id *)buffer count:(NSUInteger)count {
  return [_keys countByEnumeratingWithState:state objects:buffer count:count];
}

@end

@implementation NSMutableDictionary

+ (instancetype)dictionaryWithCapacity:(NSUInteger)capacity {
  (void)capacity;
  return [self dictionary];
}

- (id)copyWithZone:(NSZone *)zone {
  (void)zone;
  return [[NSDictionary alloc] initWithDictionary:self];
}

- (void)setObject:(id)object forKey:(id)key {
  [self storeObject:object forKey:key];
}

- (void)setObject:(id)object forKeyedSubscript:(id)key {
  [self storeObject:object forKey:key];
}

- (void)removeObjectForKey:(id)key {
  NSUInteger index = [_keys indexOfObject:key];
  if (index == NSNotFound) return;
  [_keys removeObjectAtIndex:index];
  [_values removeObjectAtIndex:index];
}

@end
