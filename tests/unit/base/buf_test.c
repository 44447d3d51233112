/* Memory, buffers with their ceiling, shared bytes. */
#include "tests/t.h"

#include "base/buf.h"
#include "base/mem.h"

T(memory)
{
    CLEAN(mem_free) char *zeroed = mem_array(16, 4);
    CLEAN(mem_free) char *slice = mem_slice("abcdef", 3);
    CLEAN(mem_free) char *empty = mem_slice(NULL, 0);
    CLEAN(mem_free) char *text = mem_format("%s-%d", "x", 7);
    CLEAN(mem_free) char *copy = mem_copy("ab", 3);
    CLEAN(mem_free) char *none = mem_array(0, 8);

    for (int i = 0; i < 64; i++)
        t_eq(zeroed[i], 0);
    t_str(slice, "abc");
    t_str(empty, "");
    t_str(text, "x-7");
    t_str(copy, "ab");
    t_ok(none != NULL);
    t_ok(mem_string(NULL) == NULL);
    t_ok(mem_free(NULL) == NULL);
    t_ok(mem_wipe_free(NULL, 5) == NULL);
    t_ok(mem_wipe_free(mem_string("secret"), 6) == NULL);
    zeroed = mem_grow(zeroed, 1000, 4);
    t_eq(zeroed[63], 0);
}

T(grows_to_its_ceiling_and_no_further)
{
    CLEAN(buf_done) struct buf b;

    buf_init(&b, 1000);
    for (int i = 0; i < 100; i++)
        buf_add(&b, "0123456789", 10);
    t_ok(!b.bad);
    t_eq(b.length, 1000);
    t_eq(strlen(b.data), 1000);
    t_ok(b.room <= 1000);
    buf_add_char(&b, 'x');
    t_ok(b.bad);
    t_eq(b.length, 0);
    t_ok(b.data == NULL);
    buf_add_str(&b, "ignored while bad");
    t_eq(b.length, 0);
    t_ok(buf_take(&b) == NULL);
    t_ok(bytes_from_buf(&b) == NULL);
    t_ok(buf_reserve(&b, 1) == NULL);
    buf_clear(&b);
    buf_add_str(&b, "good again");
    t_str(b.data, "good again");
}

T(reserve)
{
    CLEAN(buf_done) struct buf b;

    buf_init(&b, 8);
    char *to = buf_reserve(&b, 8);
    t_ok(to != NULL);
    memcpy(to, "12345678", 8);
    b.length += 8;
    b.data[b.length] = '\0';
    t_str(b.data, "12345678");
    t_ok(buf_reserve(&b, 0) != NULL);
    t_ok(buf_reserve(&b, 1) == NULL);
    t_ok(b.bad);

    buf_done(&b);
    buf_init(&b, 100);
    t_ok(buf_reserve(&b, SIZE_MAX) == NULL); /* no overflow on the way */
    t_ok(b.bad);
}

T(format)
{
    CLEAN(buf_done) struct buf b;

    buf_init(&b, 600);
    buf_addf(&b, "%d,%s", 1, "two");
    t_str(b.data, "1,two");
    buf_addf(&b, "%500d", 3); /* past the first room */
    t_eq(b.length, 505);
    buf_addf(&b, "%95d", 3);
    t_eq(b.length, 600);
    t_ok(!b.bad);
    buf_addf(&b, "%s", "");
    t_ok(!b.bad);
    buf_addf(&b, "x");
    t_ok(b.bad);
}

T(drop_and_take)
{
    CLEAN(buf_done) struct buf b;

    buf_init(&b, 100);
    CLEAN(mem_free) char *nothing = buf_take(&b);
    t_str(nothing, "");
    buf_add_str(&b, "hello world");
    buf_drop(&b, 6);
    t_str(b.data, "world");
    buf_drop(&b, 0);
    CLEAN(mem_free) char *text = buf_take(&b);
    t_str(text, "world");
    t_eq(b.length, 0);
    buf_add_str(&b, "next");
    buf_drop(&b, 4);
    t_str(b.data, "");
}

T(shared_bytes)
{
    CLEAN(buf_done) struct buf b;

    buf_init(&b, 100);
    buf_add_str(&b, "abc");
    struct bytes *bytes = bytes_from_buf(&b);
    t_eq(bytes->length, 3);
    t_ok(memcmp(bytes->data, "abc", 3) == 0);
    struct bytes *again = bytes_ref(bytes);
    t_ok(again == bytes);
    t_eq(bytes->refs, 2);
    t_ok(bytes_unref(again) == NULL);
    t_eq(bytes->refs, 1);
    bytes = bytes_unref(bytes);
    t_ok(bytes == NULL);
    t_ok(bytes_unref(NULL) == NULL);
    CLEAN(bytes_unref) struct bytes *empty = bytes_new(NULL, 0);
    t_eq(empty->length, 0);
}
