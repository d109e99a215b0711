require ["vacation", "special-use"];
vacation :specialuse "\\Sent" "Gone.";
