#import "Validation.h"

#include <stdio.h>
#include <stdlib.h>

static const struct {
  const char *name;
  const char *text;
} rules[] = {
#define VALIDATION_RULE(name, text) {"MTLValidation" #name, text},
    VALIDATION_RULES(VALIDATION_RULE)
#undef VALIDATION_RULE
};

void raiseRule(ValidationRule rule, const char *format, ...) {
  char values[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(values, sizeof values, format, arguments);
  va_end(arguments);
  NSString *name = [NSString stringWithUTF8String:rules[rule].name];
  NSString *reason = [NSString stringWithFormat:@"%s: %s", rules[rule].text, values];
  @throw [NSException exceptionWithName:name reason:reason userInfo:nil];
}
