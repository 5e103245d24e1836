from hpc_qa.serving.phases import furthest


def test_phases_are_read_from_the_log_and_never_go_back():
    assert furthest(["(EngineCore pid=1) INFO Initializing a V1 LLM engine (v0.32.0)"]) == "engine"
    assert furthest(["Loading weights took 1.51 seconds", "Starting to load model /m"]) == "kv_cache"
    assert furthest(["CPU KV cache size: 93,184 tokens"], "kv_cache") == "warm_up"
    assert furthest(["Starting to load model"], "warm_up") == "warm_up"
    assert furthest(["nothing we know"], "weights") == "weights"
