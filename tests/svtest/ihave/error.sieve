require "ihave";

if not ihave "vnd.example.nothing" {
    error "missing 확장";
}
