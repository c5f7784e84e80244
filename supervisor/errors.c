#include <ctype.h>
#include <string.h>
#include "supervisor/errors.h"

const char *
error_text(int error)
{
	static char text[128];

	strlcpy(text, strerror(error), sizeof(text));
	if (!isupper((unsigned char)text[1]))	/* not an abbreviation */
		text[0] = (char)tolower((unsigned char)text[0]);
	return text;
}
