# The shaders as one text, which every build of the bridge embeds. It is made as makefiles are, before anything else, so
# that no rule that compiles the bridge has to know of it; the objects are made anew because their .d files name it.

SHADER_SOURCE := build/embedded/shader_source.inc

build/embedded/made.mk: scripts/shader_source.sh make/shaders.mk $(wildcard shaders/*.metal shaders/*.h)
	@mkdir -p $(dir $@)
	@sh scripts/shader_source.sh --header $(sort $(wildcard shaders/*.metal)) >$(SHADER_SOURCE)
	@echo "# $(SHADER_SOURCE) is there" >$@

ifneq ($(MAKECMDGOALS),clean)
include build/embedded/made.mk
endif
