/* template: which part of a file a block is, and what becomes of a value. */
#include "server/routes/template.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char file[] = "<!-- About the file. -->\n"
                           "<!-- block: one -->\n<p title=\"{{a}}\">{{b}}</p>\n\n"
                           "<!-- block: one more -->\n{{a}}{{a}}\n"
                           "<!-- block: last -->\nend\n";

static char *page;

static const char *put(const char *block, const struct template_value *values)
{
    const struct template template = { file, file + sizeof(file) - 1 };
    size_t bytes;
    FILE  *out;

    free(page);
    page = NULL;
    out  = open_memstream(&page, &bytes);
    template_put(out, &template, block, values);
    fclose(out);
    return page;
}

static void a_block_ends_before_the_line_break_of_the_next_ones_marker(void **state)
{
    const struct template_value values[] = { { "a", "x" }, { "b", "y" }, { NULL, NULL } };

    (void)state;
    assert_string_equal(put("one", values), "<p title=\"x\">y</p>\n");
    assert_string_equal(put("one more", values), "xx");
    assert_string_equal(put("last", NULL), "end\n");
}

static void a_value_is_text_wherever_it_stands(void **state)
{
    const struct template_value values[] = { { "a", "\"><script>" },
                                             { "b", "<b> & 'c' {{a}}" },
                                             { NULL, NULL } };

    (void)state;
    assert_string_equal(
        put("one", values),
        "<p title=\"&quot;&gt;&lt;script&gt;\">&lt;b&gt; &amp; &#39;c&#39; {{a}}</p>\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_ends_before_the_line_break_of_the_next_ones_marker),
        cmocka_unit_test(a_value_is_text_wherever_it_stands),
    };
    int failed = cmocka_run_group_tests_name("template", tests, NULL, NULL);

    free(page);
    return failed;
}
