"""Names of SQL functions: those that only compute, those that make rows, those that reach out.

sqlglot knows the common functions by class; here are names that it keeps as they are, and the known ones to refuse.
"""

from __future__ import annotations

from outlast.checks.reading import words_of

COMPUTES = words_of(
    """age abs asin acos atan atan2 acosh asinh atanh array array_append array_cat array_length array_position
    array_prepend array_remove array_replace array_to_string array_upper array_lower arrayjoin bit_length
    bool_and bool_or btrim cardinality cbrt ceil ceiling char_length character_length charindex chr
    clock_timestamp concat_ws convert convert_tz corr cos cot cosh covar_pop covar_samp crc32 curdate curtime date
    date_bin date_format date_part datename datepart datetime day dayname dayofmonth dayofweek dayofyear decode
    degrees difference div encode eomonth every exp field find_in_set floor format from_days
    from_unixtime gcd get_byte greatest group_concat hex hour
    ifnull iif initcap insert instr isfinite isnull json json_agg json_array json_array_elements
    json_array_length json_arrayagg json_build_array json_build_object json_contains json_each_text
    json_extract_path json_extract_path_text json_group_array json_group_object json_length json_object_agg
    json_patch json_quote json_remove json_replace json_set json_strip_nulls json_type json_typeof json_unquote
    json_valid json_value jsonb jsonb_agg jsonb_array_elements jsonb_array_elements_text jsonb_array_length
    jsonb_build_array jsonb_build_object jsonb_each jsonb_each_text jsonb_extract_path jsonb_extract_path_text
    jsonb_object_agg jsonb_object_keys jsonb_path_exists jsonb_path_query jsonb_set jsonb_strip_nulls
    jsonb_to_record jsonb_to_recordset jsonb_typeof julianday justify_days justify_hours justify_interval
    last_day lcm least left len length like likelihood likely list_aggregate list_contains ln locate log log10
    log2 lpad ltrim make_date make_interval make_time make_timestamp makedate maketime max md5 microsecond mid
    min minute mod mode month monthname months_between now numnode nullif nvl oct octet_length ord overlay
    percent_rank percentile_cont percentile_disc period_add period_diff pi plainto_tsquery position pow power
    printf quarter quote quote_ident quote_literal quote_nullable radians regexp_count regexp_instr regexp_like
    regexp_match regexp_matches regexp_split_to_array regexp_split_to_table regexp_substr regr_intercept regr_r2
    regr_slope repeat replace reverse right round row row_to_json rpad rtrim scale sec_to_time second setseed
    sha1 sha2 sha224 sha256 sha384 sha512 sign similarity sin sinh soundex space split_part sqrt starts_with
    statement_timestamp stddev stddev_pop stddev_samp strcmp str_to_date strftime string_agg string_to_array
    strip strleft strpos strright stuff subdate substr substring substring_index subtime sum sysdate tan tanh
    time time_format time_to_sec timediff timeofday timestamp timestampadd timestampdiff to_ascii to_char
    to_date to_days to_hex to_json to_jsonb to_number to_seconds to_timestamp to_tsquery to_tsvector total
    transaction_timestamp trim trim_scale trunc truncate ts_headline ts_rank ts_rank_cd typeof unicode unixepoch
    unlikely upper utc_date utc_time utc_timestamp var_pop var_samp variance week weekday weekofyear
    width_bucket word_similarity year yearweek zeroifnull"""
)
"""Functions that look at nothing but their arguments and the clock."""

ROWS = words_of(
    """generate_series exploding_generate_series unnest explode posexplode flatten json_each json_tree json_table
    jsonb_array_elements jsonb_array_elements_text jsonb_each jsonb_each_text jsonb_to_recordset jsonb_to_record
    json_array_elements json_array_elements_text json_each_text json_to_recordset jsonb_object_keys
    json_object_keys jsonb_path_query openjson open_j_s_o_n range numbers zeros sequence split_to_table
    string_split regexp_split_to_table regexp_matches generate_subscripts generator"""
)
"""Functions that stand where a table does and make rows of their arguments only."""

REFUSED = words_of(
    """ai_agg ai_classify ai_embed ai_generate ai_similarity ai_summarize_agg ai_complete a_i_forecast
    current_account current_account_name current_available_roles current_client current_ip_address
    current_organization_name current_organization_user current_role current_role_type current_secondary_roles
    current_session current_statement current_transaction current_user current_user_id current_version
    current_warehouse session_user current_catalog current_database current_schema current_schemas
    current_region columns dynamic_identifier generate_table generate_text m_l_forecast m_l_translate net_func
    next_value_for predict read_csv read_parquet to_file vector_search seq1 seq2 seq4 seq8 parse_ip ml_forecast
    ml_translate features_at_time get_extract"""
)
"""Functions that sqlglot knows and that ask models, or read files, the session, sequences or the catalogue."""
