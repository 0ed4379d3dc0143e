/*
 * retry_after: how long a provider asks us to wait.
 *
 * The header comes from outside, so it is bounded: a provider that says "in a year" (or a number
 * that overflows) must not park a job for ever; the retry policy in SQL has the last word anyway.
 */
#include "pipeline_runner/http/retry_after.h"

#include <ctype.h>
#include <curl/curl.h>
#include <string.h>

#define MOST_S 86400

static int bounded_ms(long long seconds)
{
    if (seconds < 0)
        seconds = 0;
    if (seconds > MOST_S)
        seconds = MOST_S;
    return (int)seconds * 1000;
}

int retry_after_ms(const char *value, time_t now)
{
    long long seconds = 0;
    size_t    i       = 0;
    time_t    at;

    value += strspn(value, " \t");
    while (isdigit((unsigned char)value[i])) {
        if (seconds <= MOST_S) /* further digits cannot make it smaller */
            seconds = seconds * 10 + (value[i] - '0');
        i++;
    }
    if (i > 0)
        return value[i + strspn(value + i, " \t\r\n")] ? -1 : bounded_ms(seconds);
    if (!isalpha(
            (unsigned char)value[0])) /* curl_getdate is lenient; HTTP dates begin with a day */
        return -1;
    at = curl_getdate(value, NULL);
    return at == (time_t)-1 ? -1 : bounded_ms((long long)at - (long long)now);
}
