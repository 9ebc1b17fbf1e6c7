/*
 * generate.c: a program that uses models without JavaScript, as an application would: it links the library and includes
 * its header, nothing else. Tests give it one command a line and read one line of JSON for each. Text is in hexadecimal.
 *
 *   open DIRECTORY PLAN DISABLED -> {"model":handle}       uses this model from now on; DISABLED may be left out
 *   use HANDLE | close           -> {"status":0}
 *   numbers                      -> {"numbers":[...]}
 *   tokenize FLAGS TEXT          -> {"tokens":[...]}
 *   prompt FLAGS TEXT            -> {"status":0}
 *   tokens ID...                 -> {"status":0}           adds tokens
 *   sampling T K P M R N S       -> {"status":0}
 *   next COUNT CAPACITY          -> {"status":s,"calls":[[token,"text"],...]}   stops at the first status that is not 0
 *   rewind POSITION              -> {"status":0}
 *   race MILLISECONDS            -> {"status":s,"calls":n} releases the model while another thread generates
 *   share COUNT                  -> {"status":0,"tokens":[...]} four threads that make COUNT tokens each; in no order
 *   live                         -> {"handles":n,"models":n,"objects":n,"withoutPool":n,"bytes":n,"inFlight":n}
 *
 * A failure is {"error":status,"message":"..."}.
 */
#include "bun_metal.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MostTokens = 1 << 16, MostCapacity = 4096 };

static bm_handle model;

static int hexDigit(char c) {
  return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Turns hexadecimal into bytes in place. Returns their number. */
static size_t readHex(char *text) {
  size_t count = 0;
  for (; hexDigit(text[2 * count]) >= 0; count++)
    text[count] = (char)(hexDigit(text[2 * count]) << 4 | hexDigit(text[2 * count + 1]));
  return count;
}

static void printHex(const char *bytes, uint32_t length) {
  for (uint32_t i = 0; i < length; i++) printf("%02x", (unsigned char)bytes[i]);
}

static void printFailure(void) {
  char message[2048];
  bm_error_message(message, sizeof message);
  printf("{\"error\":%u,\"message\":\"", bm_error_code());
  for (const char *c = message; *c; c++) {
    if (*c == '"' || *c == '\\') putchar('\\');
    putchar((unsigned char)*c < ' ' ? ' ' : *c);
  }
  printf("\"}\n");
}

static void printStatus(bm_status status) {
  if (status == BM_OK)
    printf("{\"status\":0}\n");
  else
    printFailure();
}

static void printNumber(const char *name, double value) {
  printf("\"%s\":%.0f", name, value);
}

static void doOpen(char *arguments) {
  char *plan = strchr(arguments, ' ');
  if (plan) *plan++ = 0;
  char *disabled = plan ? strchr(plan, ' ') : NULL;
  if (disabled) *disabled++ = 0;
  bm_handle opened =
      bm_model_open(arguments, plan ? plan : "", 0, disabled ? (uint32_t)strtoul(disabled, NULL, 10) : 0);
  if (!opened) {
    printFailure();
    return;
  }
  model = opened;
  printf("{\"model\":%u}\n", model);
}

static void doNumbers(void) {
  double numbers[BM_MODEL_NUMBER_COUNT];
  if (bm_model_numbers(model, numbers, BM_MODEL_NUMBER_COUNT) != BM_OK) {
    printFailure();
    return;
  }
  printf("{\"numbers\":[");
  for (int i = 0; i < BM_MODEL_NUMBER_COUNT; i++)
    printf(numbers[i] == numbers[i] ? "%s%.0f" : "%snull", i ? "," : "", numbers[i]);
  printf("]}\n");
}

static void doText(char *arguments, bool tokenizes) {
  static uint32_t tokens[MostTokens];
  char *text;
  uint32_t flags = (uint32_t)strtoul(arguments, &text, 10), count = 0;
  if (*text == ' ') text++;
  size_t length = readHex(text);
  if (!tokenizes) {
    printStatus(bm_model_prompt(model, text, (double)length, flags));
  } else if (bm_model_tokenize(model, text, (double)length, flags, tokens, MostTokens, &count) != BM_OK) {
    printFailure();
  } else {
    printf("{\"tokens\":[");
    for (uint32_t i = 0; i < count && i < MostTokens; i++) printf("%s%u", i ? "," : "", tokens[i]);
    printf("]}\n");
  }
}

static void doTokens(char *arguments) {
  static uint32_t tokens[MostTokens];
  uint32_t count = 0;
  for (char *end; count < MostTokens; arguments = end) {
    tokens[count] = (uint32_t)strtoul(arguments, &end, 10);
    if (end == arguments) break;
    count++;
  }
  printStatus(bm_model_prompt_tokens(model, tokens, count));
}

static void doSampling(const char *arguments) {
  double t = 0, p = 1, m = 0, r = 1, s = 0;
  unsigned k = 0, n = 0;
  sscanf(arguments, "%lf %u %lf %lf %lf %u %lf", &t, &k, &p, &m, &r, &n, &s);
  printStatus(bm_model_sampling(model, t, k, p, m, r, n, s));
}

static void doNext(const char *arguments) {
  unsigned count = 0, capacity = MostCapacity;
  char text[MostCapacity];
  sscanf(arguments, "%u %u", &count, &capacity);
  if (capacity > MostCapacity) capacity = MostCapacity;
  bm_status status = BM_OK;
  printf("{\"calls\":[");
  for (unsigned i = 0; i < count && status == BM_OK; i++) {
    uint32_t length = 0, token = 0;
    status = bm_model_next(model, capacity ? text : NULL, capacity, &length, &token);
    if (status != BM_OK && status != BM_MODEL_END && status != BM_MODEL_FULL) break;
    printf("%s[%u,\"", i ? "," : "", token);
    printHex(text, length);
    printf("\"]");
  }
  printf("],\"status\":%u}\n", status);
}

typedef struct Race {
  bm_handle model;
  bm_status status;
  uint32_t calls;
} Race;

static void *generateUntilFailure(void *context) {
  Race *race = context;
  for (;; race->calls++) {
    race->status = bm_model_next(race->model, NULL, 0, NULL, NULL);
    if (race->status == BM_OK) continue;
    if (race->status != BM_MODEL_END && race->status != BM_MODEL_FULL) return NULL;
    race->status = bm_model_rewind(race->model, 1);
    if (race->status != BM_OK) return NULL;
  }
}

static void doRace(const char *arguments) {
  Race race = {.model = model};
  pthread_t thread;
  if (pthread_create(&thread, NULL, generateUntilFailure, &race) != 0) abort();
  usleep((useconds_t)strtoul(arguments, NULL, 10) * 1000);
  bm_status released = bm_release(model);
  pthread_join(thread, NULL);
  printf("{\"released\":%u,\"status\":%u,\"calls\":%u}\n", released, race.status, race.calls);
}

enum { Sharers = 4, MostShared = 256 };

typedef struct Share {
  bm_handle model;
  bm_status status;
  uint32_t count, tokens[MostShared];
} Share;

static void *makeTokens(void *context) {
  Share *share = context;
  for (uint32_t i = 0; i < share->count && share->status == BM_OK; i++)
    share->status = bm_model_next(share->model, NULL, 0, NULL, &share->tokens[i]);
  return NULL;
}

static void doShare(const char *arguments) {
  static Share shares[Sharers];
  pthread_t threads[Sharers];
  bm_status status = BM_OK;
  uint32_t count = (uint32_t)strtoul(arguments, NULL, 10);
  if (count > MostShared) count = MostShared;
  for (int i = 0; i < Sharers; i++) {
    shares[i] = (Share){.model = model, .count = count};
    if (pthread_create(&threads[i], NULL, makeTokens, &shares[i]) != 0) abort();
  }
  printf("{\"tokens\":[");
  for (int i = 0; i < Sharers; i++) {
    pthread_join(threads[i], NULL);
    if (shares[i].status != BM_OK) status = shares[i].status;
    for (uint32_t k = 0; k < count; k++) printf("%s%u", i || k ? "," : "", shares[i].tokens[k]);
  }
  printf("],\"status\":%u}\n", status);
}

static void doLive(void) {
  double handles[BM_KIND_COUNT], numbers[BM_STATISTIC_COUNT], sum = 0;
  bm_live_handles(handles, BM_KIND_COUNT);
  bm_statistics(numbers, BM_STATISTIC_COUNT);
  for (int i = 0; i < BM_KIND_COUNT; i++) sum += handles[i];
  printf("{");
  printNumber("handles", sum);
  printf(",");
  printNumber("models", handles[BM_KIND_MODEL]);
  printf(",");
  printNumber("objects", numbers[BM_STATISTIC_OBJECTS]);
  printf(",");
  printNumber("withoutPool", numbers[BM_STATISTIC_OBJECTS_WITHOUT_POOL]);
  printf(",");
  printNumber("bytes", numbers[BM_STATISTIC_BUFFER_BYTES]);
  printf(",");
  printNumber("inFlight", numbers[BM_STATISTIC_IN_FLIGHT]);
  printf("}\n");
}

static void run(const char *command, char *arguments) {
  if (strcmp(command, "open") == 0) {
    doOpen(arguments);
  } else if (strcmp(command, "use") == 0) {
    model = (bm_handle)strtoul(arguments, NULL, 10);
    printStatus(BM_OK);
  } else if (strcmp(command, "close") == 0) {
    printStatus(bm_release(model));
  } else if (strcmp(command, "numbers") == 0) {
    doNumbers();
  } else if (strcmp(command, "tokenize") == 0 || strcmp(command, "prompt") == 0) {
    doText(arguments, command[0] == 't');
  } else if (strcmp(command, "tokens") == 0) {
    doTokens(arguments);
  } else if (strcmp(command, "sampling") == 0) {
    doSampling(arguments);
  } else if (strcmp(command, "next") == 0) {
    doNext(arguments);
  } else if (strcmp(command, "rewind") == 0) {
    printStatus(bm_model_rewind(model, (uint32_t)strtoul(arguments, NULL, 10)));
  } else if (strcmp(command, "race") == 0) {
    doRace(arguments);
  } else if (strcmp(command, "share") == 0) {
    doShare(arguments);
  } else if (strcmp(command, "live") == 0) {
    doLive();
  } else {
    printf("{\"error\":2,\"message\":\"unknown command\"}\n");
  }
}

int main(void) {
  char *line = NULL;
  size_t capacity = 0;
  while (getline(&line, &capacity, stdin) > 0) {
    line[strcspn(line, "\n")] = 0;
    char *arguments = line + strcspn(line, " ");
    if (*arguments) *arguments++ = 0;
    run(line, arguments);
    fflush(stdout);
  }
  free(line);
  return 0;
}
