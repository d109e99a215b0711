require ["vacation", "fcc"];
vacation :fcc "Sent" :fcc "Also" "Gone.";
