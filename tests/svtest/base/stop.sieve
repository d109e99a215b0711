if true {
    stop;
    discard;
}
discard;
