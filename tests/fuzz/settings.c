/* The reader of settings documents. What is accepted can be written and read again. */
#include <stdlib.h>
#include <unistd.h>
#include "common/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct settings	 s, again;
	const char	*why;
	int		 fd;

	if (settings_init(&s) != 0 || settings_init(&again) != 0)
		abort();
	if (settings_parse(&s, (struct bytes){ (const char *)data, size }, &why) == 0) {
		fd = settings_write(&s, ROLE_SUPERVISOR);
		if (fd < 0 || settings_read(&again, fd, &why) != 0)
			abort();
		close(fd);
	}
	settings_free(&s);
	settings_free(&again);
	return 0;
}
