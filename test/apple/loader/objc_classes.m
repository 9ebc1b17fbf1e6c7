/*
 * objc_classes.m: classes of the image become classes of GCC's runtime: same name, same instance layout, the image's
 * methods.
 */
#import "objc_runtime.h"

#include <string.h>

#include "failure.h"
#include "objc_layout.h"

enum { MostClasses = 64, DeepestInheritance = 16 };

/* GCC libobjc. */
extern Class objc_allocateClassPair(Class superclass, const char *name, size_t extraBytes);
extern void objc_registerClassPair(Class cls);
extern BOOL class_addMethod(Class cls, SEL selector, IMP implementation, const char *types);
extern BOOL class_addIvar(Class cls, const char *name, size_t size, unsigned char alignment, const char *type);
extern BOOL class_addProtocol(Class cls, Protocol *protocol);
extern struct objc_ivar *class_getInstanceVariable(Class cls, const char *name);
extern ptrdiff_t ivar_getOffset(struct objc_ivar *ivar);
extern int objc_getClassList(Class *out, int capacity);
extern Protocol *objc_getProtocol(const char *name);

/* Which class of this process stands for which of an image. */
static struct {
  const class_data *data;
  Class cls;
} classes[MostClasses];
static uint32_t classCount;

Class objcClassFor(const void *pointer) {
  for (uint32_t i = 0; i < classCount; i++) {
    if (classes[i].data == pointer) return classes[i].cls;
    if (classes[i].data->isa == pointer) return object_getClass((id)classes[i].cls);
  }
  return (Class)(void *)pointer;
}

/* Whether the pointer is a class of this process: nothing that came from a file is taken for one. */
static bool isClass(const void *pointer) {
  enum { MostKnown = 1024 };
  Class known[MostKnown];
  int count = objc_getClassList(known, MostKnown);
  for (int i = 0; i < count && i < MostKnown; i++)
    if ((const void *)known[i] == pointer) return true;
  return false;
}

static const class_ro *readOnlyPart(const Image *image, const class_data *data) {
  if (!imageHolds(image, data, sizeof *data)) return NULL;
  // The lowest bits are Swift's.
  const class_ro *ro = (const class_ro *)((uintptr_t)data->ro & ~(uintptr_t)7);
  return imageHolds(image, ro, sizeof *ro) && imageText(image, ro->name) ? ro : NULL;
}

/* ---- methods ----------------------------------------------------------------------------------------------------- */

static const void *relative(const int32_t *distance) {
  return (const uint8_t *)distance + *distance;
}

/* One method of a list; its name as text or, where the list is relative, through a selector reference. */
static bool readMethod(const Image *image, const method_list *list, uint32_t index, method *out) {
  uint32_t size = list->size & ~(uint32_t)MethodListFlags;
  const uint8_t *entry = (const uint8_t *)(list + 1) + (uint64_t)index * size;
  bool isRelative = (list->size & MethodListIsRelative) != 0;
  uint32_t least = isRelative ? sizeof(relative_method) : sizeof(method);
  if (size < least || !imageHolds(image, entry, size)) return false;
  if (isRelative) {
    const relative_method *from = (const void *)entry;
    const SEL *selector = relative(&from->name);
    if (!imageHolds(image, selector, sizeof *selector)) return false;
    *out = (method){sel_getName(*selector), relative(&from->types), (void *)relative(&from->implementation)};
  } else {
    memcpy(out, entry, sizeof *out);
    if (!imageText(image, out->name)) return false;
  }
  return imageText(image, out->types) && imageHolds(image, out->implementation, 1);
}

static bool addMethods(const Image *image, Class cls, const method_list *list, const char *name) {
  if (!list) return true;
  if (!imageHolds(image, list, sizeof *list)) return loaderFail("The methods of class \"%s\" lie outside of it", name);
  for (uint32_t i = 0; i < list->count; i++) {
    method found;
    if (!readMethod(image, list, i, &found)) return loaderFail("Method \"%u\" of class \"%s\" is malformed", i, name);
    if (!class_addMethod(cls, sel_registerName(found.name), (IMP)found.implementation, found.types))
      return loaderFail("Class \"%s\" has method \"%s\" twice", name, found.name);
  }
  return true;
}

/* ---- instance variables ------------------------------------------------------------------------------------------ */

static bool addIvar(const Image *image, Class cls, const ivar *from, const char *className) {
  bool isSound = imageHolds(image, from, sizeof *from) && imageHolds(image, from->offset, sizeof *from->offset) &&
                 imageText(image, from->name) && imageText(image, from->type);
  if (!isSound) return loaderFail("An instance variable of class \"%s\" is malformed", className);
  unsigned char alignment = from->alignment > 15 ? 3 : (unsigned char)from->alignment;
  if (!class_addIvar(cls, from->name, from->size, alignment, from->type))
    return loaderFail("Class \"%s\" has instance variable \"%s\" twice", className, from->name);
  return true;
}

/* The compiler may have built offsets into the code where the superclass is NSObject, so ours must be the same. */
static bool checkIvar(Class cls, const ivar *from, const char *className) {
  ptrdiff_t offset = ivar_getOffset(class_getInstanceVariable(cls, from->name));
  if (offset == *from->offset) return true;
  return loaderFail("Instance variable \"%s\" of class \"%s\" is at \"%d\" in the image and at \"%td\" here",
                    from->name, className, *from->offset, offset);
}

typedef bool (*IvarVisitor)(Class cls, const ivar *from, const char *className);

static const ivar *ivarAt(const ivar_list *list, uint32_t index) {
  return (const ivar *)(const void *)((const uint8_t *)(list + 1) + (uint64_t)index * list->size);
}

static bool addIvars(const Image *image, Class cls, const class_ro *ro) {
  if (!ro->ivars) return true;
  if (!imageHolds(image, ro->ivars, sizeof *ro->ivars) || ro->ivars->size < sizeof(ivar))
    return loaderFail("The instance variables of class \"%s\" are malformed", ro->name);
  for (uint32_t i = 0; i < ro->ivars->count; i++)
    if (!addIvar(image, cls, ivarAt(ro->ivars, i), ro->name)) return false;
  return true;
}

static bool checkLayout(Class cls, const class_ro *ro) {
  for (uint32_t i = 0; ro->ivars && i < ro->ivars->count; i++)
    if (!checkIvar(cls, ivarAt(ro->ivars, i), ro->name)) return false;
  if (class_getInstanceSize(cls) < ro->instanceSize)
    return loaderFail("Instances of class \"%s\" have \"%u\" bytes in the image and \"%zu\" here", ro->name,
                      ro->instanceSize, class_getInstanceSize(cls));
  return true;
}

/* ---- protocols, classes ------------------------------------------------------------------------------------------ */

/* Adopted protocols that this process knows; nothing can ask for the others. */
static bool addProtocols(const Image *image, Class cls, const class_ro *ro) {
  const protocol_list *list = ro->protocols;
  if (!list) return true;
  const protocol *const *entries = (const void *)(list + 1);
  for (uint64_t i = 0; imageHolds(image, list, sizeof *list) && i < list->count; i++) {
    if (!imageHolds(image, &entries[i], sizeof *entries) || !imageHolds(image, entries[i], sizeof **entries) ||
        !imageText(image, entries[i]->name))
      return loaderFail("Protocol \"%lu\" of class \"%s\" is malformed", i, ro->name);
    Protocol *known = objc_getProtocol(entries[i]->name);
    if (known) class_addProtocol(cls, known);
  }
  return true;
}

static bool addClass(const Image *image, const class_data *data, uint32_t depth) {
  for (uint32_t i = 0; i < classCount; i++)
    if (classes[i].data == data) return true;
  const class_ro *ro = readOnlyPart(image, data), *meta = ro ? readOnlyPart(image, data->isa) : NULL;
  if (!ro || !meta || depth > DeepestInheritance || classCount == MostClasses)
    return loaderFail("Class \"%u\" of the image is malformed", classCount);
  if (ro->flags & RO_ROOT) return loaderFail("Class \"%s\" has no superclass", ro->name);
  if (objc_getClass(ro->name)) return loaderFail("There is a class \"%s\" already", ro->name);
  if (imageHolds(image, data->superclass, sizeof *data) && !addClass(image, data->superclass, depth + 1)) return false;
  Class superclass = objcClassFor(data->superclass);
  Class cls = isClass(superclass) ? objc_allocateClassPair(superclass, ro->name, 0) : Nil;
  if (!cls) return loaderFail("Class \"%s\" cannot be made: its superclass is missing", ro->name);
  if (!addMethods(image, cls, ro->methods, ro->name) || !addIvars(image, cls, ro) || !addProtocols(image, cls, ro) ||
      !addMethods(image, object_getClass((id)cls), meta->methods, ro->name))
    return false;
  objc_registerClassPair(cls);
  classes[classCount].data = data;
  classes[classCount++].cls = cls;
  return checkLayout(cls, ro);
}

/* ---- the image's references -------------------------------------------------------------------------------------- */

static bool registerSelectors(const Image *image) {
  Bytes section = imageSectionBytes(image, "__objc_selrefs");
  const char **references = (const char **)(void *)section.start;
  for (uint64_t i = 0; i < section.size / sizeof *references; i++) {
    const char *name = imageText(image, references[i]);
    if (!name) return loaderFail("Selector \"%lu\" of the image is malformed", i);
    SEL selector = sel_registerName(name);
    memcpy(&references[i], &selector, sizeof selector);
  }
  return true;
}

static bool addClasses(const Image *image) {
  Bytes section = imageSectionBytes(image, "__objc_classlist");
  const class_data *const *list = (const class_data *const *)(const void *)section.start;
  for (uint64_t i = 0; i < section.size / sizeof *list; i++)
    if (!addClass(image, list[i], 0)) return false;
  return true;
}

static void replaceReferences(const Image *image, const char *sectionName) {
  Bytes section = imageSectionBytes(image, sectionName);
  const void **references = (const void **)(void *)section.start;
  for (uint64_t i = 0; i < section.size / sizeof *references; i++) references[i] = objcClassFor(references[i]);
}

/* What the bridge must not have, as this loader and, in a static library, Apple's linker would pass over it. */
static bool refuseCategories(const Image *image) {
  const char *const sections[] = {"__objc_catlist", "__objc_nlclslist", "__objc_nlcatlist"};
  for (size_t i = 0; i < sizeof sections / sizeof *sections; i++)
    if (imageSection(image, NULL, sections[i]))
      return loaderFail("The image has section \"%s\": categories and +load are not for the bridge", sections[i]);
  return true;
}

bool objcPrepare(const Image *image) {
  if (!refuseCategories(image) || !registerSelectors(image) || !addClasses(image)) return false;
  replaceReferences(image, "__objc_classrefs");
  replaceReferences(image, "__objc_superrefs");
  return true;
}
