from dataclasses import astuple

from hpc_qa.serving.memory import concurrency, requests_that_fit
from hpc_qa.serving.metrics import ServerMetrics, parse_metrics

# as vLLM 0.32 prints it
TEXT = """\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="warm"} 3.0
vllm:num_requests_waiting{engine="0",model_name="warm"} 0.0
vllm:kv_cache_usage_perc{engine="0",model_name="warm"} 0.25
vllm:prefix_cache_queries_total{engine="0",model_name="warm"} 1000.0
vllm:prefix_cache_queries_created{engine="0",model_name="warm"} 1.7953237921255488e+09
vllm:prefix_cache_hits_total{engine="0",model_name="warm"} 640.0
vllm:num_preemptions_total{engine="0",model_name="warm"} 0.0
vllm:prompt_tokens_total{engine="0",model_name="warm"} 1000.0
vllm:generation_tokens_total{engine="0",model_name="warm"} 1.5e+03
vllm:iteration_tokens_total_bucket{engine="0",le="+Inf",model_name="warm"} 7.0
vllm:iteration_tokens_total_sum{engine="0",model_name="warm"} 1860.0
vllm:cache_config_info{block_size="128",engine="0",kv_cache_size_tokens="93184",num_gpu_blocks="728",note="a\\"b"} 1.0
"""


def test_the_metrics_of_a_server_are_read():
    metrics = parse_metrics(TEXT)
    assert metrics == ServerMetrics(
        kv_cache_tokens=93184,
        prompt_tokens=1000,
        generation_tokens=1500,
        prefix_cache_queries=1000,
        prefix_cache_hits=640,
        iteration_tokens=1860,
        preemptions=0,
        running=3,
        waiting=0,
        kv_cache_usage=0.25,
    )


def test_what_the_server_does_not_expose_is_unknown_and_not_zero():
    assert set(astuple(parse_metrics(""))) == {None}
    assert set(astuple(parse_metrics("<html>not metrics at all</html>\n\x00"))) == {None}


def test_engines_are_summed():
    second = TEXT.replace('engine="0"', 'engine="1"')
    both = parse_metrics(TEXT + second)
    assert both.kv_cache_tokens == 2 * 93184
    assert both.prompt_tokens == 2000


def test_older_servers_tell_the_size_of_the_kv_cache_in_blocks():
    text = 'vllm:cache_config_info{block_size="16",num_gpu_blocks="100"} 1.0\n'
    assert parse_metrics(text).kv_cache_tokens == 1600
    assert parse_metrics(text.replace("100", "None")).kv_cache_tokens is None


def test_the_difference_of_two_readings_counts_what_happened_between():
    later = parse_metrics(TEXT.replace("1000.0", "1750.0"))
    between = later.since(parse_metrics(TEXT))
    assert (between.prompt_tokens, between.prefix_cache_queries, between.prefix_cache_hits) == (750, 750, 0)
    assert (between.kv_cache_tokens, between.running) == (93184, 3)
    assert later.since(ServerMetrics()).prompt_tokens is None


def test_the_counters_of_a_restarted_server_are_added_to_those_before_it():
    before, after = ServerMetrics(prompt_tokens=100, kv_cache_usage=0.5), ServerMetrics(prompt_tokens=30, preemptions=1)
    both = after.plus(before)
    assert (both.prompt_tokens, both.preemptions, both.kv_cache_usage) == (130, None, None)
    assert after.plus(None) == after


def test_no_more_requests_are_out_than_the_kv_cache_holds():
    assert requests_that_fit(93_184, 4_096) == 22
    assert concurrency(64, 93_184, 4_096) == 22
    assert concurrency(8, 93_184, 4_096) == 8
    assert concurrency(8, None, 4_096) == 8
    assert concurrency(8, 100, 4_096) == 1
